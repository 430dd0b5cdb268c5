"""The parts of the page that are text: cards, the story of injected drift, tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from deploy.report.summary import Summary
from deploy.report.words import NONE, event_time, hours, ms, percent, share, whole


def cards(summary: Summary) -> str:
    """The figures that a reader wants first."""
    champion = summary["quality"]["champion"]
    lost = summary["missing"]
    made = [
        _card("events", whole(summary["events"]), "", f"{whole(summary['predictions'])} predicted"),
        _card(
            "throughput",
            whole(summary["events_per_s"]),
            "/s",
            f"best second {whole(summary['events_per_s_max'])}",
        ),
        _card(
            "latency p50",
            ms(summary["latency_p50_ms"]),
            "ms",
            f"p99 {ms(summary['latency_p99_ms'])} · p99.9 {ms(summary['latency_p999_ms'])}",
        ),
        _card(
            "without an answer",
            whole(lost),
            "",
            f"{whole(summary['dead_letters'])} dead letters, "
            f"{whole(summary['duplicates'])} repeats",
            tone="bad" if lost else "good" if summary["events"] else "",
        ),
        _card(
            "ROC AUC",
            share(champion["auc"]),
            "",
            f"average precision {share(champion['average_precision'])}",
        ),
        _card(
            "labels back",
            percent(summary["labels"]["coverage"]),
            "",
            f"after {hours(summary['labels']['delay_mean_h'])} on average",
        ),
    ]
    return f'<div class="cards">{"".join(made)}</div>'


def _card(name: str, figure: str, unit: str, aside: str, *, tone: str = "") -> str:
    small = f"<small>{escape(unit)}</small>" if unit and figure != NONE else ""
    return (
        f'<div class="card"><div class="name">{escape(name)}</div>'
        f'<div class="figure {tone}">{escape(figure)}{small}</div>'
        f'<div class="aside">{escape(aside)}</div></div>'
    )


def story(summary: Summary) -> str:
    """What was injected and whether it was found, in sentences; what was not read."""
    lines = [_drift_line(drift) for drift in summary["drift"]] + [
        f"<b class='warn'>{escape(topic)} holds more records than were read.</b>"
        for topic in summary["not_read_to_the_end"]
    ]
    if not lines:
        return ""
    return f'<div class="story">{"".join(f"<p>{line}</p>" for line in lines)}</div>'


def _drift_line(drift: Summary) -> str:
    start = (
        f"Drift <b>{escape(drift['kind'])}</b> was injected at "
        f"{escape(event_time(drift['injected_at_ms']))} (event time) and "
    )
    if drift["found_at_ms"] is None:
        return f"{start}<b class='bad'>was not found</b>."
    return (
        f"{start}<b class='good'>found at {escape(event_time(drift['found_at_ms']))}</b>, "
        f"{escape(hours(drift['delay_event_time_h']))} later, as "
        f"{escape(drift['found_by'].replace('_', ' '))} of <b>{escape(drift['subject'])}</b>."
    )


def tables(summary: Summary) -> str:
    """Stages, quality, and what went wrong."""
    return (
        f'<div class="tables">{_stages(summary)}{_quality(summary)}'
        f"{_counts(summary)}{_dead_letters(summary)}</div>"
    )


def _stages(summary: Summary) -> str:
    keys = ("mean_ms", "p50_ms", "p99_ms", "p999_ms", "max_ms")
    rows = [
        [stage, *(ms(values[key]) for key in keys)] for stage, values in summary["stages"].items()
    ]
    rows.append(["end to end", *(ms(summary[f"latency_{key}"]) for key in keys)])
    return _table("Milliseconds by stage", ["", "mean", "p50", "p99", "p99.9", "max"], rows)


def _quality(summary: Summary) -> str:
    rows = [
        [
            role,
            whole(found["n"]),
            whole(found["positives"]),
            share(found["auc"]),
            share(found["average_precision"]),
            share(found["card_precision_at_100"]),
            share(found["log_loss"]),
        ]
        for role, found in summary["quality"].items()
    ]
    head = ["", "labelled", "positive", "AUC", "AP", "CP@100", "log loss"]
    return _table("On labelled events", head, rows)


def _counts(summary: Summary) -> str:
    names = {
        "events": "events",
        "predictions": "events with a prediction",
        "dead_letters": "dead letters",
        "missing": "events without an answer",
        "duplicates": "predictions made again",
        "repeated": "of events that were sent twice",
        "late": "of late events",
        "degraded": "degraded predictions",
    }
    rows = [[name, whole(summary[key])] for key, name in names.items()]
    rows.append(["outcomes", whole(summary["labels"]["outcomes"])])
    rows.append(["alerts raised", whole(summary["alerts"]["raised"])])
    return _table("Counts", ["", ""], rows)


def _dead_letters(summary: Summary) -> str:
    found = summary["dead_letters_by_reason"]
    rows = [[e["reason"], e["stage"], e["topic"], whole(e["count"])] for e in found]
    if not rows:
        return ""
    return _table("Dead letters", ["reason", "stage", "topic", "count"], rows)


def _table(title: str, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<section><h3>{escape(title)}</h3><table><thead><tr>{top}</tr></thead>"
        f"<tbody>{body}</tbody></table></section>"
    )
