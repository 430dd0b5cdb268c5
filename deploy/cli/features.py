"""`headrace features`: what a pipeline's features are, were, and whether both paths agree."""

from __future__ import annotations

import json
import math
import os
import sys
import uuid
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.cli.moments import MOMENT, shown

if TYPE_CHECKING:
    from rich.console import Console

    from deploy.features.parity import ParityRun
    from deploy.settings import Settings

PIPELINE = click.argument("pipeline")
DATA = click.option(
    "--data",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="History: Parquet, CSV or JSON lines.",
)
FROM = click.option("--from", "from_ms", type=MOMENT, help="First event time (UTC).")
TO = click.option("--to", "to_ms", type=MOMENT, help="Before this event time (UTC).")
JSON = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, allow_dash=True, path_type=Path),
    is_flag=False,
    flag_value="-",
    help="Figures as JSON, into FILE or, without one, instead of the text.",
    metavar="[FILE]",
)
STDOUT = Path("-")
TABLE_WIDTH = 400


@click.group()
def features() -> None:
    """Look at PIPELINE's features, compute them from files, fill the store, prove parity."""


@features.command()
@PIPELINE
@DATA
@click.option("--to", "to_ms", type=MOMENT, required=True, help="Before this event time (UTC).")
@JSON
def load(pipeline: str, files: tuple[Path, ...], to_ms: int, json_file: Path | None) -> None:
    """Fill PIPELINE's feature store with what was known just before --to.

    Events before that moment, and labels that were known by then. Safe to repeat; load before the
    worker gets later events, for history cannot be put behind them.
    """
    from deploy.bootstrap import feature_store
    from deploy.loading import load_store
    from streams.history import read_history
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    settings = _settings()
    history = read_history(loaded, files, to_ms=to_ms)
    store = feature_store(loaded, settings)
    with _bar("loading") as bar:
        entries = load_store(
            loaded,
            history,
            store,
            to_ms=to_ms,
            progress=lambda done, total: bar.update(100 * done // max(total, 1) - bar.pos),
        )
    store.close()
    figures = {"entries_new": entries, "as_of_ms": to_ms}
    if _json(figures, json_file):
        click.echo(f"{entries:,} entries as of {shown(to_ms)} are in the store")


@features.command()
@PIPELINE
@DATA
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Parquet file."
)
@FROM
@TO
@JSON
def backfill(
    pipeline: str,
    files: tuple[Path, ...],
    out: Path,
    from_ms: int | None,
    to_ms: int | None,
    json_file: Path | None,
) -> None:
    """Write the features of every event of --data to --out, as the online path gives them.

    Columns: id, event_time, then the features by name. Each row sees what was known at its event
    time; give all history before --from as well, so that windows are full. Needs no server. All
    of --data is held in memory: files larger than that are not supported yet.
    """
    from deploy.features.backfill import backfill as write_features
    from streams.pipeline import load_pipeline

    _require_order(from_ms, to_ms)
    loaded = load_pipeline(pipeline)
    with _bar("computing") as bar:
        rows = write_features(
            loaded,
            files,
            out,
            from_ms=from_ms,
            to_ms=to_ms,
            threads=_cores(),
            progress=lambda percent: bar.update(percent - bar.pos),
        )
    figures = {
        "rows": rows,
        "features": len(loaded.features.names),
        "feature_fingerprint": loaded.features.fingerprint(),
        "out": str(out),
    }
    if _json(figures, json_file):
        click.echo(f"{out}: {rows:,} events, {len(loaded.features.names)} features each")


@features.command()
@PIPELINE
@DATA
@FROM
@TO
@click.option("--max-events", type=click.IntRange(min=1), help="No more events than this.")
@JSON
def parity(
    pipeline: str,
    files: tuple[Path, ...],
    from_ms: int | None,
    to_ms: int | None,
    max_events: int | None,
    json_file: Path | None,
) -> None:
    """Compare the online path with the offline one on --data, value by value.

    Events and labels go in event-time order, in micro-batches, through the code that serves and
    through the real store, under a namespace of its own that is removed afterwards; the pipeline's
    own logs are not touched. Kafka, the codec and the scorer take no part. With --from, the store
    is loaded first with what was known by then. All of --data is held in memory.

    Exit status 1 when values differ.
    """
    from deploy.features.parity import check_parity, scratch_store
    from deploy.features.tables import print_parity
    from streams.history import read_history
    from streams.pipeline import load_pipeline

    _require_order(from_ms, to_ms)
    loaded = load_pipeline(pipeline)
    settings = _settings()
    history = read_history(loaded, files, to_ms=to_ms)
    namespace = f"parity-{uuid.uuid4().hex}"
    with scratch_store(loaded, settings, namespace) as store, _bar("replaying") as bar:
        run = check_parity(
            history,
            store,
            from_ms=from_ms,
            max_events=max_events,
            threads=_cores(),
            progress=lambda done, total: bar.update(100 * done // total - bar.pos),
        )
    if _json(parity_figures(run, loaded.features.fingerprint()), json_file):
        print_parity(run, _console())
    sys.exit(1 if run.report.values_differing else 0)


@features.command()
@PIPELINE
@click.option(
    "--per-day",
    type=click.FloatRange(min=0),
    default=1.0,
    show_default=True,
    help="Entries (events and labels) that one customer, terminal, ... gets a day.",
)
@JSON
def describe(pipeline: str, per_day: float, json_file: Path | None) -> None:
    """Say what PIPELINE's features are, and what keeping their logs costs. Needs no server."""
    from deploy.features.describe import description
    from deploy.features.tables import print_description
    from streams.pipeline import load_pipeline

    described = description(load_pipeline(pipeline).features, per_day)
    if _json(described, json_file):
        print_description(described, _console())


@features.command()
@PIPELINE
@click.argument("instance", metavar="ENTITY=KEY")
@click.option(
    "--as-of", "as_of_ms", type=MOMENT, help="Event time (UTC) [that of the newest entry]."
)
@click.option(
    "--entries", type=click.IntRange(min=0), default=20, show_default=True, help="How many to list."
)
@JSON
def show(
    pipeline: str, instance: str, as_of_ms: int | None, entries: int, json_file: Path | None
) -> None:
    """Show ENTITY=KEY's features (customer=596) and the log entries behind them; changes nothing.

    Computed from the online store by the code that serves: over the log as it stood before its
    first event after --as-of, in windows that end there. Entries carry the hash of an event's id,
    not the id; JSON lists all of them.
    """
    from deploy.features.show import entity_view
    from deploy.features.tables import print_view
    from streams.pipeline import load_pipeline

    name, equals, key = instance.partition("=")
    if not equals:
        raise click.UsageError(f"{instance!r} names no entity: write it like customer=596")
    seen = entity_view(load_pipeline(pipeline), _settings(), name, key, as_of_ms)
    if _json({"entity": name, "key": key, **asdict(seen)}, json_file):
        click.echo(f"{name} {key} as of {shown(seen.as_of_ms)}\n")
        print_view(seen, _console(), entries)


def parity_figures(run: ParityRun, fingerprint: str) -> dict[str, Any]:
    """What `parity --json` writes: keys as documented in docs/reference/features-cli.md."""
    report = run.report
    return {
        "values_compared": report.values_compared,
        "values_differing": report.values_differing,
        "max_abs_difference": report.max_abs_difference,
        "by_feature": report.differing_by_feature,
        "by_reason": report.differing_by_reason,
        "differences": [asdict(d) for d in report.examples],
        "events": run.events,
        "labels": run.labels,
        "micro_batches": run.micro_batches,
        "history_entries": run.history_entries,
        "feature_fingerprint": fingerprint,
    }


def _finite(figures: Any) -> Any:
    """The same with null for what JSON has no number for."""
    if isinstance(figures, dict):
        return {key: _finite(value) for key, value in figures.items()}
    if isinstance(figures, list | tuple):
        return [_finite(value) for value in figures]
    return None if isinstance(figures, float) and not math.isfinite(figures) else figures


def _settings() -> Settings:
    from deploy.endpoints import with_endpoints
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout

    return with_endpoints(load_settings(), Layout.discover())


def _require_order(from_ms: int | None, to_ms: int | None) -> None:
    if from_ms is not None and to_ms is not None and to_ms <= from_ms:
        raise click.UsageError(f"--to {shown(to_ms)} is not after --from {shown(from_ms)}")


def _json(figures: dict[str, Any], json_file: Path | None) -> bool:
    """Writes the figures where they are wanted; whether there is room for text beside them."""
    text = json.dumps(_finite(figures), indent=2, allow_nan=False)
    if json_file == STDOUT:
        click.echo(text)
    elif json_file:
        json_file.write_text(text + "\n")
    return json_file != STDOUT


def _bar(label: str) -> Any:
    # On stderr, for standard output may be JSON; click shows a bar on a terminal only.
    return click.progressbar(length=100, label=label, file=sys.stderr)


def _console() -> Console:
    from rich.console import Console

    # As wide as the widest table: a terminal wraps a long line, nothing is cut off.
    return Console(highlight=False, width=TABLE_WIDTH)


def _cores() -> int:
    return len(os.sched_getaffinity(0))
