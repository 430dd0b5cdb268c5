"""`headrace loadtest`: found by the command through its entry point, not by an import."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from loadtests.compare import Comparison
    from loadtests.result import Latency, PhaseFigures, RunResult
    from loadtests.run import Plan
    from streams.transport.settings import TransportSettings

    Kafka = Callable[[str | None], TransportSettings]

FAILED_STATUS = 1
ABOVE_ZERO = click.FloatRange(min=0, min_open=True)
JSON_FILE = click.Path(path_type=Path, dir_okay=False)
RESULT_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
COLUMNS = "  {:<12}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}{:>10}"


@click.group(short_help="measure latency and throughput under an open-loop load")
def loadtest() -> None:
    """Put load on a running system and measure how long its predictions take.

    Events are sent on a schedule that waits for nothing. Latency counts from the moment an event
    was due to the moment a separate process has read its prediction, so that no wait is left out.
    """


@loadtest.command(name="list", short_help="the scenarios and peers")
def list_scenarios() -> None:
    """List the scenarios that can be run, and the peers that can be run in Headrace's place."""
    from loadtests.run import PEERS
    from loadtests.scenarios import SCENARIOS

    click.echo("Scenarios:")
    for scenario in SCENARIOS.values():
        click.echo(f"  {scenario.name:<14}{scenario.line}")
    click.echo("Peers (--peer):")
    for name, line in PEERS.items():
        click.echo(f"  {name:<14}{line}")


@loadtest.command(short_help="run one scenario")
@click.argument("scenario")
@click.option("--rate", type=ABOVE_ZERO, default=1_000.0, help="Events a second [1000].")
@click.option("--duration", "duration_s", type=ABOVE_ZERO, default=60.0, help="Seconds [60].")
@click.option(
    "--warmup",
    "warm_up_s",
    type=click.FloatRange(min=0),
    default=5.0,
    help="Seconds before --duration that are in no figure [5].",
)
@click.option("--pipeline", default="fraud", help="A pipeline of payments [fraud].")
@click.option("--peer", help="Measure this peer instead; see `headrace loadtest list`.")
@click.option(
    "--arrivals",
    type=click.Choice(["fixed", "poisson"]),
    default="fixed",
    help="At even distances [fixed], or independently of each other.",
)
@click.option(
    "--customers",
    type=click.IntRange(min=10, max=200_000),
    default=5_000,
    help="Who pay, at twice as many terminals [5000].",
)
@click.option("--seed", type=click.IntRange(min=0), default=7, help="Of payments and arrivals [7].")
@click.option(
    "--late-limit",
    type=click.FloatRange(min=1),
    default=100.0,
    help="ms that the generator may be behind its schedule; more fails the run [100].",
)
@click.option(
    "--broken-p99",
    type=click.FloatRange(min=1),
    default=1_000.0,
    help="ms; a ramp's step with a higher p99 is not held [1000].",
)
@click.option(
    "--drain",
    "drain_s",
    type=click.FloatRange(min=1),
    default=30.0,
    help="Longest wait for the last answers, seconds [30].",
)
@click.option("--bootstrap", help="host:port of the brokers (default: settings, local stack).")
@click.option("--json", "json_file", type=JSON_FILE, help="Figures as JSON.")
@click.pass_context
def run(
    context: click.Context, /, bootstrap: str | None, json_file: Path | None, **choice: Any
) -> None:
    """Run SCENARIO against a system that is already running: `headrace worker` and what it needs.

    Ends with status 1 when an event was not answered, or when the generator could not keep its own
    schedule. A ramp looks for the rate that the system does not hold, and finding it is no failure.
    """
    from loadtests.run import run as make_run

    plan = _plan(**choice)
    kafka: Kafka = context.obj
    transport = kafka(bootstrap)
    click.echo(
        f"{plan.scenario.name}: {sum(p.duration_s for p in plan.phases()):g} s, of which the first "
        f"{plan.warm_up_s:g} s warm up and are in no figure"
    )
    result = make_run(plan, transport)
    _show(result)
    if json_file:
        result.write(json_file)
    if not result.passed:
        raise SystemExit(FAILED_STATUS)


@loadtest.command(short_help="two results side by side")
@click.argument("a", type=RESULT_FILE)
@click.argument("b", type=RESULT_FILE)
@click.option("--json", "json_file", type=JSON_FILE, help="Figures as JSON.")
def compare(a: Path, b: Path, json_file: Path | None) -> None:
    """Show the figures of results A and B, and B divided by A."""
    import msgspec

    from loadtests.compare import compare as compared
    from loadtests.result import read_result

    comparison = compared(read_result(a), read_result(b))
    _show_comparison(comparison)
    if json_file:
        text = msgspec.json.format(msgspec.json.encode(comparison), indent=2)
        json_file.write_bytes(text + b"\n")


def _plan(
    *,
    scenario: str,
    pipeline: str,
    peer: str | None,
    arrivals: str,
    late_limit: float,
    broken_p99: float,
    **numbers: Any,
) -> Plan:
    from loadtests.judge import Limits
    from loadtests.run import PEERS, Plan
    from loadtests.scenarios import SCENARIOS, Arrivals
    from streams.pipeline import load_pipeline

    if scenario not in SCENARIOS:
        raise click.UsageError(f"no scenario {scenario!r}; there are: {', '.join(SCENARIOS)}")
    if peer is not None and peer not in PEERS:
        raise click.UsageError(f"no peer {peer!r}; there are: {', '.join(PEERS)}")
    return Plan(
        scenario=SCENARIOS[scenario],
        pipeline=load_pipeline(pipeline),
        run_id=f"lt{uuid.uuid4().hex[:12]}",
        peer=peer,
        arrivals=Arrivals(arrivals),
        limits=Limits(late_limit, broken_p99),
        **numbers,
    )


def _show(result: RunResult) -> None:
    click.echo(
        COLUMNS.format("", "events/s", "answered", "p50 ms", "p90", "p99", "p99.9", "p99.99", "max")
    )
    for phase in result.phases:
        _show_phase(phase)
    click.echo(f"  the generator was at most {_number(result.late_max_ms)} ms behind its schedule")
    if result.answers_per_s is not None:
        click.echo(f"  {result.answers_per_s:,.0f} answers a second")
    if result.repeats:
        click.echo(f"  {result.repeats:,} answers came more than once; the first counts")
    if result.held_events_per_s is not None:
        click.echo(f"  held: {result.held_events_per_s:,.0f} events/s")
    if result.broken_events_per_s is not None:
        click.echo(
            f"  broken at {result.broken_events_per_s:,.0f} events/s: p99 above "
            f"{result.broken_p99_ms:,.0f} ms, or events without an answer"
        )
    for reason in result.failures:
        click.echo(f"FAILED: {reason}", err=True)


def _show_phase(phase: PhaseFigures) -> None:
    click.echo(
        COLUMNS.format(
            phase.name if phase.measured else f"({phase.name})",
            f"{phase.rate_events_per_s:,.0f}",
            f"{phase.answered:,}",
            *_latencies(phase.latency),
        )
    )


def _latencies(latency: Latency) -> list[str]:
    return [
        _number(value)
        for value in (
            latency.latency_p50_ms,
            latency.latency_p90_ms,
            latency.latency_p99_ms,
            latency.latency_p999_ms,
            latency.latency_p9999_ms,
            latency.latency_max_ms,
        )
    ]


def _show_comparison(comparison: Comparison) -> None:
    click.echo(f"  {'':<20}{'A':>14}{'B':>14}{'B / A':>10}")
    for row in comparison.rows:
        ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
        click.echo(f"  {row.figure:<20}{_number(row.a):>14}{_number(row.b):>14}{ratio:>10}")
    for difference in comparison.differences:
        click.echo(f"not alike: {difference}", err=True)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f}"
