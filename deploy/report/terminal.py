"""The summary as a table for people; the same figures as in summary.json."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table
from rich.text import Text

from deploy.report.summary import Summary
from deploy.report.words import event_time, hours, ms, percent, share, whole


def print_summary(summary: Summary, console: Console) -> None:
    """Print counts, latency by stage, quality and what became of injected drift."""
    for table in (_counts(summary), _latency(summary), _quality(summary)):
        console.print(table)
        console.print()
    for drift in summary["drift"]:
        console.print(_drift(drift), soft_wrap=True)


def _counts(summary: Summary) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    table.add_column(justify="right")
    table.add_column(style="dim")
    labels = summary["labels"]
    rows = (
        ("events", whole(summary["events"]), ""),
        ("predictions", whole(summary["predictions"]), _asides(summary)),
        ("dead letters", whole(summary["dead_letters"]), ""),
        ("without an answer", whole(summary["missing"]), ""),
        ("throughput", f"{whole(summary['events_per_s'])}/s", _best(summary)),
        ("labels joined", whole(labels["outcomes"]), f"coverage {percent(labels['coverage'])}"),
        ("alerts raised", whole(summary["alerts"]["raised"]), ""),
    )
    for row in rows:
        table.add_row(*row)
    return table


def _asides(summary: Mapping[str, int]) -> str:
    kinds = ("duplicates", "repeated", "late", "degraded")
    return ", ".join(f"{whole(summary[kind])} {kind}" for kind in kinds if summary[kind])


def _best(summary: Summary) -> str:
    return f"best second {whole(summary['events_per_s_max'])}"


def _latency(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    table.add_column("latency ms", style="dim")
    for name in ("mean", "p50", "p99", "p99.9", "max"):
        table.add_column(name, justify="right")
    keys = ("mean_ms", "p50_ms", "p99_ms", "p999_ms", "max_ms")
    for stage, values in summary["stages"].items():
        table.add_row(stage, *(ms(values[key]) for key in keys))
    whole_way = (ms(summary[f"latency_{key}"]) for key in keys)
    table.add_row("end to end", *whole_way, style="bold")
    return table


def _quality(summary: Summary) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold cyan")
    table.add_column("once labelled", style="dim")
    for name in ("events", "positive", "AUC", "AP", "CP@100", "log loss"):
        table.add_column(name, justify="right")
    for role, found in summary["quality"].items():
        figures = ("auc", "average_precision", "card_precision_at_100", "log_loss")
        counts = (whole(found["n"]), whole(found["positives"]))
        table.add_row(role, *counts, *(share(found[key]) for key in figures))
    return table


def _drift(drift: Summary) -> Text:
    text = Text(f"drift {drift['kind']}, injected at {event_time(drift['injected_at_ms'])}: ")
    if drift["found_at_ms"] is None:
        return text.append("not found", "bold red")
    text.append(f"found at {event_time(drift['found_at_ms'])}", "bold green")
    kind = drift["found_by"].replace("_", " ")
    delay = hours(drift["delay_event_time_h"])
    return text.append(f" ({delay} of event time later) as {kind} of {drift['subject']}")
