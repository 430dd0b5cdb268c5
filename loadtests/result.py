"""What a run found: figures with their units, and whether the run counts.

The keys are a contract: `docs/benchmarking.md` describes each.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from loadtests.errors import ResultUnreadable

RESULT_SCHEMA_VERSION = 1
PLOTTED_PERCENT = (0.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.5, 99.9, 99.95, 99.99, 100.0)


class Latency(msgspec.Struct, frozen=True):
    """Percentiles of n latencies, each a measured value (nearest rank, not interpolated).

    A percentile above which fewer than one value lies would be the maximum: it is None.
    """

    latency_mean_ms: float | None
    latency_p50_ms: float | None
    latency_p90_ms: float | None
    latency_p99_ms: float | None
    latency_p999_ms: float | None
    latency_p9999_ms: float | None
    latency_max_ms: float | None

    @classmethod
    def of(cls, values_ms: NDArray[np.float64]) -> Latency:
        """The percentiles of float64[n] latencies, in milliseconds."""
        if not len(values_ms):
            return cls(None, None, None, None, None, None, None)
        ordered = np.sort(values_ms)
        return cls(
            latency_mean_ms=round(float(ordered.mean()), 3),
            latency_p50_ms=_percentile(ordered, 50),
            latency_p90_ms=_percentile(ordered, 90),
            latency_p99_ms=_percentile(ordered, 99),
            latency_p999_ms=_percentile(ordered, 99.9),
            latency_p9999_ms=_percentile(ordered, 99.99),
            latency_max_ms=round(float(ordered[-1]), 3),
        )


def _percentile(ordered: NDArray[np.float64], percent: float) -> float | None:
    if round(len(ordered) * (100 - percent), 6) < 100:
        return None
    return round(float(np.percentile(ordered, percent, method="inverted_cdf")), 3)


def distribution(values_ms: NDArray[np.float64]) -> list[tuple[float, float]]:
    """(percent, ms) along the whole distribution, for a plot; empty without values."""
    if not len(values_ms):
        return []
    points = np.percentile(values_ms, PLOTTED_PERCENT, method="inverted_cdf")
    return list(zip(PLOTTED_PERCENT, points.round(3).tolist(), strict=True))


class PhaseFigures(msgspec.Struct, frozen=True):
    """One phase: what was to be sent, what was sent, and how it was answered."""

    name: str
    measured: bool
    rate_events_per_s: float
    duration_s: float
    events_due: int
    events_sent: int
    answered: int
    unanswered: int
    late_max_ms: float | None
    late_p99_ms: float | None
    kept_schedule: bool
    latency: Latency


class RunResult(msgspec.Struct, frozen=True):
    """A whole run; `latency` and the counts are those of the measured phases together."""

    scenario: str
    pipeline: str
    peer: str | None
    passed: bool
    failures: list[str]
    arrivals: str
    rate_events_per_s: float
    duration_s: float
    warm_up_s: float
    warm_up_events: int
    began_at_ms: int
    events_sent: int
    answered: int
    unanswered: int
    repeats: int
    strangers: int
    answers_per_s: float | None
    late_max_ms: float | None
    late_limit_ms: float
    broken_p99_ms: float
    held_events_per_s: float | None
    broken_events_per_s: float | None
    latency: Latency
    latency_distribution: list[tuple[float, float]]
    phases: list[PhaseFigures]
    seed: int
    customers: int
    machine: dict[str, str]
    schema_version: int = RESULT_SCHEMA_VERSION

    def write(self, path: Path) -> None:
        """Write the result as JSON."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")


def read_result(path: Path) -> RunResult:
    """A result that `write` wrote. Raises `ResultUnreadable`."""
    try:
        result = msgspec.json.decode(path.read_bytes(), type=RunResult)
    except (OSError, msgspec.DecodeError) as error:
        raise ResultUnreadable(
            f"{path} holds no result of a load test ({error}): "
            "write one with `headrace loadtest run SCENARIO --json FILE`"
        ) from error
    if result.schema_version != RESULT_SCHEMA_VERSION:
        raise ResultUnreadable(
            f"{path} has schema version {result.schema_version}, known is {RESULT_SCHEMA_VERSION}: "
            "run the load test again"
        )
    return result
