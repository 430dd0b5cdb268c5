"""Two results side by side."""

from __future__ import annotations

from typing import Any

import msgspec

from loadtests.result import RunResult

SAME = (
    "scenario",
    "arrivals",
    "rate_events_per_s",
    "duration_s",
    "warm_up_s",
    "customers",
    "machine",
)
FIGURES = (
    "latency_mean_ms",
    "latency_p50_ms",
    "latency_p90_ms",
    "latency_p99_ms",
    "latency_p999_ms",
    "latency_p9999_ms",
    "latency_max_ms",
    "answers_per_s",
    "unanswered",
    "late_max_ms",
    "held_events_per_s",
)


class Row(msgspec.Struct, frozen=True):
    """One figure of both runs; `ratio` is b / a, None where that says nothing."""

    figure: str
    a: float | None
    b: float | None
    ratio: float | None


class Comparison(msgspec.Struct, frozen=True):
    """Figures of two runs, and in what the runs differ although they should not.

    Attributes
    ----------
    differences:
        Settings that differ, and runs that did not pass: a ratio then means little.
    """

    rows: list[Row]
    differences: list[str]


def compare(a: RunResult, b: RunResult) -> Comparison:
    """The figures of two runs beside each other."""
    rows = []
    for name in FIGURES:
        of_a, of_b = _figure(a, name), _figure(b, name)
        if of_a is not None or of_b is not None:
            ratio = round(of_b / of_a, 3) if of_a and of_b is not None else None
            rows.append(Row(name, of_a, of_b, ratio))
    return Comparison(rows, _differences(a, b))


def _figure(result: RunResult, name: str) -> float | None:
    holder: Any = result if hasattr(result, name) else result.latency
    value: float | None = getattr(holder, name)
    return value


def _differences(a: RunResult, b: RunResult) -> list[str]:
    found = [
        f"{name} is {getattr(a, name)} in A and {getattr(b, name)} in B"
        for name in SAME
        if getattr(a, name) != getattr(b, name)
    ]
    found += [f"{name} did not pass" for name, run in (("A", a), ("B", b)) if not run.passed]
    return found
