"""Each feature's distribution, then and now, as small multiples."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.report.columns import Bools, Floats, Run, first_copies
from deploy.report.figures.chart import AMBER, SLATE, Layout, Panel, Trace, bars, finite
from deploy.report.quality import DAY_MS
from deploy.report.summary import raised

COLUMNS = 3
ROW_HEIGHT = 165
MAX_FEATURES = 30
FEW_VALUES = 12
BINS = 24
MIN_ROWS = 50
MOSTLY = 0.5


@dataclass(frozen=True, slots=True)
class _Part:
    """One feature's two distributions: share of predictions by bin, the zeros set apart."""

    name: str
    middle: Floats
    then: Floats
    now: Floats
    zeros: tuple[float, float] | None
    few: bool

    @property
    def moved(self) -> float:
        """How far apart the two are: total variation, 0 to 1."""
        zeros = abs(self.zeros[0] - self.zeros[1]) if self.zeros else 0.0
        return (float(np.abs(self.then - self.now).sum()) + zeros) / 2


def feature_panel(run: Run) -> Panel:
    """The first `reference_ms` of event time against the last `current_ms`, feature by feature.

    Those whose distributions differ most come first; features with an alert are named so.
    """
    reference, current = periods(run)
    if reference.sum() < MIN_ROWS or current.sum() < MIN_ROWS:
        note = f"Not measured: fewer than {MIN_ROWS} predictions in one of the two windows."
        return Panel("features", "Features, then and now", note, [], {}, wide=True)
    values = run.predictions.features[first_copies(run.predictions)]
    parts = [
        _part(name, values[reference, at], values[current, at])
        for at, name in enumerate(run.feature_names)
    ]
    shown = sorted(parts, key=lambda part: -part.moved)[:MAX_FEATURES]
    return Panel(
        "features",
        "Features, then and now",
        f"Share of predictions by value: the first {run.reference_ms / DAY_MS:g} days of event "
        f"time (grey) against the last {run.current_ms / DAY_MS:g} (amber). Those that moved most "
        "come first; where most values are zero, the rest is drawn. A short window also shows "
        "which days of the week are in it.",
        [trace for at, part in enumerate(shown) for trace in _traces(part, at)],
        _grid(run, shown),
        height=ROW_HEIGHT * -(-len(shown) // COLUMNS) + 70,
        wide=True,
    )


def periods(run: Run) -> tuple[Bools, Bools]:
    """Which first copies are in the reference window, and which in the current one."""
    times = run.predictions.event_time_ms[first_copies(run.predictions)]
    if not len(times):
        return np.empty(0, bool), np.empty(0, bool)
    reference = times < times.min() + run.reference_ms
    return reference, (times > times.max() - run.current_ms) & ~reference


def _part(name: str, then: Floats, now: Floats) -> _Part:
    then, now = then[np.isfinite(then)], now[np.isfinite(now)]
    both = np.concatenate((then, now))
    few = len(np.unique(both)) <= FEW_VALUES and bool((both == np.rint(both)).all())
    zeros = None
    if not few and (both == 0).mean() > MOSTLY:
        zeros = (float((then == 0).mean()), float((now == 0).mean()))
        both = both[both != 0]
    edges = _edges(both, few)
    shares = [_share(values, edges, zero_too=zeros is None) for values in (then, now)]
    return _Part(name, (edges[:-1] + edges[1:]) / 2, shares[0], shares[1], zeros, few)


def _edges(values: Floats, few: bool) -> Floats:
    """Bin edges: around each value where there are few of them, else even over the bulk."""
    if not len(values):
        return np.array([-0.5, 0.5])
    if few:
        some = np.unique(values)
        gap = np.diff(some).min() / 2 if len(some) > 1 else 0.5
        return np.unique(np.concatenate((some - gap, some + gap)).round(9))
    low, high = np.quantile(values, (0.001, 0.99))
    if (values == np.rint(values)).all():
        # Bins of whole numbers, or a count would show gaps between its values.
        step = max(1, round((high - low) / BINS))
        return np.arange(low - 0.5, high + step, step)
    return np.linspace(low, high if high > low else low + 1, BINS + 1)


def _share(values: Floats, edges: Floats, *, zero_too: bool) -> Floats:
    """Share of all values by bin; what lies outside counts in the end bins."""
    counted = values if zero_too else values[values != 0]
    counts, _ = np.histogram(np.clip(counted, edges[0], edges[-1]), edges)
    return counts / max(len(values), 1)


def _traces(part: _Part, at: int) -> list[Trace]:
    axes = {"xaxis": f"x{_number(at)}", "yaxis": f"y{_number(at)}"}
    pair = (("reference", part.then, SLATE), ("current", part.now, AMBER))
    if part.few:
        return [
            bars(
                name, finite(part.middle), share, color, **axes, showlegend=False, offsetgroup=name
            )
            for name, share, color in pair
        ]
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "line": {"shape": "hvh", "color": color, "width": 1.8},
            "fill": "tozeroy",
            "name": name,
            "showlegend": False,
            "x": finite(part.middle),
            "y": finite(share),
            **axes,
        }
        for name, share, color in pair
    ]


def _grid(run: Run, parts: list[_Part]) -> Layout:
    alerted = {alert.subject for alert in raised(run)}
    layout: Layout = {
        "grid": {
            "rows": -(-len(parts) // COLUMNS),
            "columns": COLUMNS,
            "pattern": "independent",
            "ygap": 0.5,
        },
        "annotations": [],
        "margin": {"t": 34, "b": 28},
        "showlegend": False,
        "barmode": "group",
        "bargap": 0.3,
        "hovermode": "closest",
    }
    for at, part in enumerate(parts):
        number = _number(at)
        layout[f"xaxis{number}"] = {"nticks": 5, "tickfont": {"size": 10}}
        if part.few:
            layout[f"xaxis{number}"]["tickvals"] = finite(part.middle)
        layout[f"yaxis{number}"] = {"showticklabels": False, "rangemode": "tozero"}
        layout["annotations"].append(_title(part, at, part.name in alerted))
    return layout


def _number(at: int) -> str:
    """How plotly numbers a subplot's axes: none for the first, then 2, 3, ..."""
    return str(at + 1) if at else ""


def _title(part: _Part, at: int, alerted: bool) -> Layout:
    name = f"<b>{part.name} ▲ alert</b>" if alerted else part.name
    zeros = f"   zero: {part.zeros[0]:.1%} → {part.zeros[1]:.1%}" if part.zeros else ""
    return {
        "text": name + zeros,
        "xref": f"x{_number(at)} domain",
        "yref": f"y{_number(at)} domain",
        "x": 0,
        "y": 1.0,
        "yanchor": "bottom",
        "xanchor": "left",
        "showarrow": False,
        "font": {"size": 12},
    }
