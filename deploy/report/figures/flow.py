"""How events moved: throughput, and where the milliseconds went."""

from __future__ import annotations

import numpy as np

from deploy.report.columns import Floats, Ints, Run, end_to_end_ms, first_copies
from deploy.report.figures.chart import (
    AMBER,
    BLUE,
    MAX_POINTS,
    ROSE,
    SERIES,
    TEAL,
    Layout,
    Panel,
    Trace,
    bars,
    line,
    log_edges,
    moments,
)
from deploy.report.summary import stage_columns
from deploy.report.words import ms

NOTHING = "Not measured: the predictions topic holds nothing."
QUANTILES = {"p50": 0.5, "p99": 0.99, "p99.9": 0.999}
MIN_LATENCY_MS = 0.5


def flow_panels(run: Run) -> list[Panel]:
    """Throughput, latency over time, its distribution, and its parts."""
    rows = first_copies(run.predictions)
    latency = end_to_end_ms(run)[rows]
    published = run.predictions.published_at_ms[rows]
    stages = stage_columns(run)
    return [
        _throughput(run),
        _over_time(published, latency),
        _distribution(latency),
        _breakdown(stages),
    ]


def _throughput(run: Run) -> Panel:
    sent, made = run.events.timestamp_ms, run.predictions.published_at_ms
    traces: list[Trace] = []
    if len(made):
        begin = int(min(sent.min(), made.min()) if len(sent) else made.min())
        width = _bin_ms(begin, int(made.max()))
        for name, times, color in (("predictions", made, BLUE), ("events sent", sent, AMBER)):
            if len(times):
                counts = np.bincount((times - begin) // width) / (width / 1000)
                # The last stretch is cut short by the end of the run: it would look like a drop.
                counts = counts[:-1] if len(counts) > 2 else counts
                at = moments(begin + np.arange(len(counts)) * width + width // 2)
                more = {"fill": "tozeroy"} if times is made else {"line": {"dash": "dot"}}
                traces.append(line(name, at, counts, color, **more))
    return Panel(
        "throughput",
        "Throughput",
        "Events sent and predictions made, each second of wall time." if traces else NOTHING,
        traces,
        {"yaxis": {"title": {"text": "per second"}, "rangemode": "tozero"}},
    )


def _over_time(published: Ints, latency: Floats) -> Panel:
    traces: list[Trace] = []
    known = np.isfinite(latency)
    if known.any():
        begin = int(published[known].min())
        width = _bin_ms(begin, int(published.max()))
        at, values = _quantiles_over_time((published[known] - begin) // width, latency[known])
        times = moments(begin + at * width + width // 2)
        colors = (BLUE, AMBER, ROSE)
        for (name, _), column, color in zip(QUANTILES.items(), values.T, colors, strict=True):
            traces.append(line(name, times, column, color))
    return Panel(
        "latency_over_time",
        "Latency over time",
        "From the event's own timestamp to its prediction's, by wall time." if traces else NOTHING,
        traces,
        _log_ms("yaxis"),
    )


def _quantiles_over_time(window: Ints, latency: Floats) -> tuple[Ints, Floats]:
    order = np.argsort(window, kind="stable")
    at, begin = np.unique(window[order], return_index=True)
    parts = np.split(latency[order], begin[1:])
    return at, np.array([np.quantile(part, list(QUANTILES.values())) for part in parts])


def _distribution(latency: Floats) -> Panel:
    known = latency[np.isfinite(latency)]
    traces: list[Trace] = []
    layout: Layout = {**_log_ms("xaxis"), "yaxis": {"title": {"text": "predictions"}}}
    if len(known):
        clipped = np.maximum(known, MIN_LATENCY_MS)
        edges = log_edges(MIN_LATENCY_MS, float(clipped.max()) * 1.01, 60)
        counts, _ = np.histogram(clipped, edges)
        widths = np.diff(edges)
        traces = [bars("predictions", edges[:-1] + widths / 2, counts, BLUE, width=list(widths))]
        marks = np.quantile(known, list(QUANTILES.values()))
        layout["shapes"], layout["annotations"] = _quantile_marks(
            marks, float(np.sqrt(edges[0] * edges[-1]))
        )
    return Panel(
        "latency",
        "Latency",
        "How long predictions took, from the event's timestamp to the prediction's."
        if traces
        else NOTHING,
        traces,
        {**layout, "showlegend": False, "bargap": 0.02},
    )


def _quantile_marks(marks: Floats, middle: float) -> tuple[list[Layout], list[Layout]]:
    shapes, annotations = [], []
    colors = (TEAL, AMBER, ROSE)
    for row, (name, at, color) in enumerate(zip(QUANTILES, marks, colors, strict=True)):
        x = float(max(at, MIN_LATENCY_MS))
        shapes.append(
            {
                "type": "line",
                "yref": "paper",
                "x0": x,
                "x1": x,
                "y0": 0,
                "y1": 1,
                "line": {"color": color, "width": 1.5, "dash": "dash"},
            }
        )
        annotations.append(
            {
                # An annotation on a logarithmic axis is placed by the exponent.
                "x": float(np.log10(x)),
                "y": 1 - 0.09 * row,
                "yref": "paper",
                "text": f"{name} {ms(at)} ms",
                "showarrow": False,
                "xanchor": "left" if x < middle else "right",
                "xshift": 4 if x < middle else -4,
                "font": {"color": color, "size": 12},
            }
        )
    return shapes, annotations


def _breakdown(stages: dict[str, Floats]) -> Panel:
    traces: list[Trace] = []
    labels = ("mean", "p50", "p99")
    for (stage, values), color in zip(stages.items(), SERIES, strict=False):
        known = values[np.isfinite(values)]
        if len(known):
            sizes = (known.mean(), *np.quantile(known, (0.5, 0.99)))
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "name": stage,
                    "y": labels,
                    "x": [float(f"{size:.4g}") for size in sizes],
                    "marker": {"color": color},
                }
            )
    return Panel(
        "stages",
        "Where the time goes",
        "Each stage by itself, stacked; quantiles of stages do not add up to that of the whole."
        if traces
        else NOTHING,
        traces,
        {
            "barmode": "stack",
            "xaxis": {"ticksuffix": " ms"},
            "yaxis": {"autorange": "reversed"},
            "hovermode": "closest",
            "legend": {"orientation": "h", "x": 0, "y": -0.16, "traceorder": "normal"},
        },
    )


def _bin_ms(begin: int, end: int) -> int:
    """Whole seconds, so that no plot has more than `MAX_POINTS` points."""
    return 1000 * max(1, -(-(end - begin) // (MAX_POINTS * 1000)))


def _log_ms(axis: str) -> Layout:
    ticks = [1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000]
    words = [f"{tick:,} ms" if tick < 1_000 else f"{tick // 1_000} s" for tick in ticks]
    return {axis: {"type": "log", "tickvals": ticks, "ticktext": words}}
