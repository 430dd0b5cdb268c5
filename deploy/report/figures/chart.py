"""What all plots share: a panel, series colours that read on light and dark, plain traces.

Colours of text, grid and background are set by the page, from the reader's colour scheme.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from deploy.report.columns import Floats

Trace = dict[str, Any]
Layout = dict[str, Any]

BLUE, AMBER, TEAL, ROSE, VIOLET, SLATE = (
    "#4f86f7",
    "#f2a33c",
    "#2bb3a3",
    "#ec5f7c",
    "#9a7bf0",
    "#8b98a9",
)
SERIES = (SLATE, VIOLET, TEAL, AMBER, BLUE, ROSE, "#6cc24a", "#c78b5c")
MAX_POINTS = 240


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot with what it says. `traces` is empty where nothing was measured.

    Attributes
    ----------
    note:
        One or two sentences: how to read it, or why it is empty.
    height:
        Pixels.
    """

    key: str
    title: str
    note: str
    traces: list[Trace]
    layout: Layout
    height: int = 320
    wide: bool = False


def line(name: str, x: Iterable[Any], y: Floats, color: str, **more: Any) -> Trace:
    """A line; NaN are gaps."""
    return {
        "type": "scatter",
        "mode": "lines",
        "name": name,
        "x": list(x),
        "y": finite(y),
        "line": {"color": color, "width": 2, **more.pop("line", {})},
        **more,
    }


def bars(name: str, x: Iterable[Any], y: npt.ArrayLike, color: str, **more: Any) -> Trace:
    """Bars."""
    values = finite(np.asarray(y, dtype=np.float64))
    return {
        "type": "bar",
        "name": name,
        "x": list(x),
        "y": values,
        "marker": {"color": color},
        **more,
    }


def finite(values: npt.ArrayLike) -> list[float | None]:
    """Rounded to six digits, with None for what JSON cannot say."""
    array = np.asarray(values, dtype=np.float64)
    return [float(f"{v:.6g}") if np.isfinite(v) else None for v in array]


def moments(times_ms: npt.ArrayLike) -> list[str]:
    """Milliseconds since the epoch as ISO times, UTC, which plotly puts on a time axis."""
    return [moment(int(t)) for t in np.asarray(times_ms, dtype=np.int64)]


def moment(time_ms: int) -> str:
    """One time, as `moments` writes it."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


def mark(at: str, text: str, color: str, *, row: int = 0, leftwards: bool = False) -> Layout:
    """A vertical line over the whole plot with its name on top: shapes and annotations.

    The name goes to the right of the line, or `leftwards` where the plot soon ends.
    """
    return {
        "shapes": [
            {
                "type": "line",
                "xref": "x",
                "yref": "paper",
                "x0": at,
                "x1": at,
                "y0": 0,
                "y1": 1,
                "line": {"color": color, "width": 1.5, "dash": "dash"},
            }
        ],
        "annotations": [
            {
                "x": at,
                "y": 1,
                "xref": "x",
                "yref": "paper",
                "yshift": 9 + 15 * row,
                "text": text,
                "showarrow": False,
                "xanchor": "right" if leftwards else "left",
                "font": {"color": color, "size": 11},
            }
        ],
    }


def log_edges(low: float, high: float, count: int) -> Floats:
    """`count + 1` bin edges, evenly spaced on a logarithmic axis."""
    return np.geomspace(low, max(high, low * 10), count + 1)
