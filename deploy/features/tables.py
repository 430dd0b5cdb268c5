"""Definitions, logs and differences as tables for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.features.describe import span
from deploy.features.parity import ParityRun
from featurizers.inspection import EntityView

NOTHING = "-"


def print_description(described: Mapping[str, Any], console: Console) -> None:
    """Print what `describe.description` says."""
    console.print(_definitions(described["features"]))
    console.print()
    rate = described["entries_per_day"]
    console.print(_logs(described["entities"], rate))
    console.print()
    console.print(f"fingerprint {described['fingerprint']}", soft_wrap=True)
    console.print(f"events count as late from {span(described['allowed_lateness_ms'])} on")


def print_view(view: EntityView, console: Console, newest: int) -> None:
    """Print an entity's values and the newest entries behind them."""
    console.print(_table(("feature", "<value"), ((k, f"{v:.12g}") for k, v in view.values.items())))
    if view.reaching_beyond:
        console.print(
            f"\nwindows beginning before the oldest entry kept: {', '.join(view.reaching_beyond)}"
        )
    console.print()
    fields = list(dict.fromkeys(name for entry in view.entries for name in entry.values))
    rows = [
        (
            moment(entry.time_ms),
            entry.source,
            entry.identity,
            *(f"{entry.values[f]:.12g}" if f in entry.values else NOTHING for f in fields),
            ", ".join(entry.features) or NOTHING,
        )
        for entry in view.entries[-newest:]
    ]
    heads = ("event time", "source", "identity", *(f"<{f}" for f in fields), "counted by")
    console.print(_table(heads, rows))
    left_out = len(view.entries) - len(rows)
    if left_out:
        console.print(f"and {left_out:,} earlier entries (--entries shows more)")


def print_parity(run: ParityRun, console: Console) -> None:
    """Print how the two paths compare, and the first differences."""
    report = run.report
    console.print(
        f"{run.events:,} events and {run.labels:,} labels in {run.micro_batches:,} micro-batches, "
        f"after {run.history_entries:,} entries of history",
        soft_wrap=True,
    )
    console.print(
        f"{report.values_compared:,} values compared, {report.values_differing:,} differ, "
        f"by {report.max_abs_difference:g} at most",
        soft_wrap=True,
    )
    if not report.values_differing:
        return
    counts = [(k, f"{n:,}") for k, n in report.differing_by_feature.items() if n]
    console.print()
    console.print(_table(("feature", "<differing"), counts))
    console.print()
    for reason, count in report.differing_by_reason.items():
        console.print(f"{count:,}: {reason}", soft_wrap=True)
    unknown = report.values_differing - sum(report.differing_by_reason.values())
    if unknown:
        console.print(f"{unknown:,}: for no known reason")
    console.print()
    reasons = {reason: number for number, reason in enumerate(report.differing_by_reason, 1)}
    rows = [
        (d.id, d.feature, repr(d.online), repr(d.offline), _number(d.reason, reasons))
        for d in report.examples
    ]
    console.print(_table(("id", "feature", "<online", "<offline", "reason"), rows))
    if report.values_differing > len(rows):
        console.print(f"and {report.values_differing - len(rows):,} more")


def moment(time_ms: int) -> str:
    """An event time to the millisecond, UTC."""
    shown = datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(" ", "milliseconds")
    return shown.removesuffix("+00:00").removesuffix(".000")


def _definitions(features: Sequence[Mapping[str, Any]]) -> Table:
    heads = ("feature", "entity", "source", "aggregation", "of", "<window", "<delay", "<default")
    return _table(heads, (_definition(f) for f in features))


def _definition(feature: Mapping[str, Any]) -> tuple[str, ...]:
    window, delay, default = feature["window_ms"], feature["delay_ms"], feature["default"]
    scaled = f"{feature['value']} * {feature['scale']}" if feature["value"] else NOTHING
    return (
        feature["name"],
        feature["entity"] or NOTHING,
        feature["source"],
        feature["aggregation"],
        scaled,
        span(window) if window else NOTHING,
        span(delay) if delay else NOTHING,
        f"{default:g}" if default is not None else NOTHING,
    )


def _logs(entities: Sequence[Mapping[str, Any]], rate: float) -> Table:
    heads = (
        *("entity", "key", "layout", "holds", "<bytes/entry", "<retention"),
        f"<bytes each at {rate:g}/day",
    )
    return _table(
        heads,
        (
            (
                *(e["name"], e["key"], e["layout"], _holds(e["values"])),
                *(str(e["bytes_per_entry"]), span(e["retention_ms"])),
                f"{e['estimated_bytes']:,}",
            )
            for e in entities
        ),
    )


def _holds(values: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{source}: {', '.join(v) or 'times'}" for source, v in values.items())


def _number(reason: str | None, reasons: Mapping[str, int]) -> str:
    return f"({reasons[reason]})" if reason else NOTHING


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table whose columns marked by < are numbers."""
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    for head in heads:
        table.add_column(
            head.removeprefix("<"),
            justify="right" if head.startswith("<") else "left",
            no_wrap=True,
        )
    for row in rows:
        table.add_row(*row)
    return table
