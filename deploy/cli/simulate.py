"""`headrace simulate`: card payments for a machine that has no data."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deploy.cli.moments import MOMENT, shown


@click.command()
@click.option("--days", default=60, show_default=True, help="Simulated days.")
@click.option(
    "--customers", default=5_000, show_default=True, help="About 1.92 payments a day each."
)
@click.option("--terminals", default=10_000, show_default=True, help="Where they pay.")
@click.option("--seed", default=7, show_default=True, help="Equal seeds give equal payments.")
@click.option("--start", "start_ms", type=MOMENT, help="First day (UTC) [2026-01-01].")
@click.option(
    "--drift",
    "drifts",
    multiple=True,
    metavar="KIND[*STRENGTH]@MOMENT",
    help="amounts, new_fraud or terminals_silent, from a moment on; may be repeated.",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Parquet file."
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Figures as JSON.")
def simulate(
    days: int,
    customers: int,
    terminals: int,
    seed: int,
    start_ms: int | None,
    drifts: tuple[str, ...],
    out: Path,
    json_file: Path | None,
) -> None:
    """Write simulated card payments, some of them fraud, with their labels to --out.

    The generator of the Fraud Detection Handbook, chapter 3. A drift changes the world from its
    moment on: amounts*1.6@2026-02-20 raises every amount, new_fraud@2026-02-20 adds a kind of fraud
    that was never seen before, terminals_silent*0.3@2026-02-20 silences 30% of the terminals.
    """
    import numpy as np

    from streams.simulator import SimulatorConfig, parse_drift
    from streams.simulator import simulate as simulated
    from streams.simulator.config import START_MS

    config = SimulatorConfig(
        days=days,
        customers=customers,
        terminals=terminals,
        seed=seed,
        start_ms=START_MS if start_ms is None else start_ms,
        drifts=tuple(parse_drift(drift) for drift in drifts),
    )
    history = simulated(config)
    history.write(out)
    times, frauds = history.event_times_ms, int(np.nansum(history.truth()))
    figures = {
        "events": len(history),
        "frauds": frauds,
        "event_time_first_ms": int(times[0]) if len(times) else None,
        "event_time_last_ms": int(times[-1]) if len(times) else None,
    }
    if json_file:
        json_file.write_text(json.dumps(figures, indent=2) + "\n")
    click.echo(f"{out}: {len(history):,} payments, {frauds:,} of them fraud")
    if len(times):
        click.echo(f"from {shown(int(times[0]))} to {shown(int(times[-1]))}")
