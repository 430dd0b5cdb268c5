"""Whether the predictions can be trusted: scores, and metrics over event time with alerts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from deploy.report.columns import Run, first_copies
from deploy.report.figures.chart import (
    AMBER,
    BLUE,
    ROSE,
    SLATE,
    TEAL,
    VIOLET,
    Layout,
    Panel,
    Trace,
    bars,
    line,
    mark,
    moment,
    moments,
)
from deploy.report.quality import DAY_MS, Windows, labelled, over_event_time, roles
from deploy.report.summary import raised

ROLE_COLORS = (BLUE, AMBER, TEAL, VIOLET)
MAX_WINDOWS = 60
MAX_MARKS = 6
LATE = 0.6


def trust_panels(run: Run) -> list[Panel]:
    """Score distribution, then AUC, average precision and log loss over event time."""
    windows = {
        role: over_event_time(rows, _width_ms(rows.event_time_ms))
        for role in roles(run)
        if len((rows := labelled(run, role)).label)
    }
    return [
        _scores(run),
        _score_level(run),
        _metric(run, windows, "auc", "Area under the ROC curve"),
        _metric(run, windows, "average_precision", "Average precision"),
        _metric(run, windows, "log_loss", "Log loss"),
    ]


def event_time_marks(run: Run) -> Layout:
    """Injected changes and raised alerts as vertical lines; at most `MAX_MARKS` alerts."""
    times = run.predictions.event_time_ms
    late_ms = np.quantile(times, LATE) if len(times) else 0
    parts = [
        mark(
            moment(i.at_ms), f"injected: {i.kind}", ROSE, row=row, leftwards=bool(i.at_ms > late_ms)
        )
        for row, i in enumerate(run.injections)
    ]
    shown = raised(run)[:MAX_MARKS]
    for row, alert in enumerate(shown, start=len(parts)):
        at_ms = alert.detected_event_time_ms
        text = f"{alert.kind.replace('_', ' ')}: {alert.subject}"
        leftwards = bool(at_ms > late_ms)
        parts.append(mark(moment(at_ms), text, VIOLET, row=row, leftwards=leftwards))
    # Else the words at the marks would stretch the axis beyond the run.
    ends = {"range": moments([times.min(), times.max()])} if len(times) else {}
    return {
        "xaxis": {"type": "date", **ends},
        "shapes": [shape for part in parts for shape in part["shapes"]],
        "annotations": [text for part in parts for text in part["annotations"]],
        "margin": {"t": 16 + 15 * len(parts)},
    }


def _metric(run: Run, windows: dict[str, Windows], metric: str, title: str) -> Panel:
    traces: list[Trace] = []
    for (role, window), color in zip(windows.items(), ROLE_COLORS, strict=False):
        values = getattr(window, metric)
        if np.isfinite(values).any():
            at = moments(window.middle_ms)
            traces.append(line(role, at, values, color, mode="lines+markers", marker={"size": 5}))
    note = (
        "By the event time of what was predicted, on the same labelled events for every model."
        if traces
        else "Not measured: too few labels have come back (ranking needs 5 positives a window)."
    )
    layout = {"yaxis": {"title": {"text": title.lower()}}, **event_time_marks(run)}
    return Panel(metric, f"{title} over event time", note, traces, layout, height=360, wide=True)


def _scores(run: Run) -> Panel:
    scores = run.predictions.score[first_copies(run.predictions)]
    traces: list[Trace] = []
    if len(scores):
        edges = np.linspace(0, 1, 41)
        counts, _ = np.histogram(scores, edges)
        traces = [bars("predictions", (edges[:-1] + edges[1:]) / 2, counts, BLUE)]
        traces += _score_by_label(run, edges)
    return Panel(
        "scores",
        "Scores",
        "Predictions by score, on a logarithmic axis; those labelled positive in front."
        if traces
        else "Not measured: no predictions.",
        traces,
        {
            "barmode": "overlay",
            "bargap": 0.04,
            "yaxis": {"type": "log", "title": {"text": "predictions"}, "dtick": 1},
        },
    )


def _score_by_label(run: Run, edges: np.ndarray) -> list[Trace]:
    rows = labelled(run, "champion")
    if not rows.label.any():
        return []
    counts, _ = np.histogram(rows.score[rows.label], edges)
    return [bars("labelled positive", (edges[:-1] + edges[1:]) / 2, counts, ROSE)]


def _score_level(run: Run) -> Panel:
    predictions = run.predictions
    traces: list[Trace] = []
    if len(predictions):
        width = _width_ms(predictions.event_time_ms, MAX_WINDOWS * 2)
        window = predictions.event_time_ms // width
        at, row = np.unique(window, return_inverse=True)
        number = np.bincount(row)
        times = moments(at * width + width // 2)
        mean = np.bincount(row, predictions.score) / number
        positive = np.bincount(row, predictions.decision) / number
        traces = [
            line("mean score", times, mean, BLUE),
            line("share decided positive", times, positive, SLATE),
        ]
    return Panel(
        "score_level",
        "Score level over event time",
        "Needs no labels, so it moves first." if traces else "Not measured: no predictions.",
        traces,
        {"yaxis": {"rangemode": "tozero"}, **event_time_marks(run)},
    )


def _width_ms(times_ms: Sequence[int] | np.ndarray, most: int = MAX_WINDOWS) -> int:
    """A day, or as many whole days as keep the windows at `most`; hours when days are few."""
    if not len(times_ms):
        return DAY_MS
    span = int(np.max(times_ms) - np.min(times_ms))
    if span < 3 * DAY_MS:
        return DAY_MS // 24
    return DAY_MS * max(1, -(-span // (most * DAY_MS)))
