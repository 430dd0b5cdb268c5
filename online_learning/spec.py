"""What a pipeline says of its monitors: learners, metrics windows and detectors."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from online_learning.errors import SpecError

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
WEEK_MS = 7 * DAY_MS


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """How a pipeline's predictions are watched. All times are event time.

    Raises `SpecError`, naming every fault at once.

    Attributes
    ----------
    horizon_ms:
        How long a prediction waits for its label; after that it counts as unlabelled.
    metrics_window_ms, metrics_step_ms:
        Length of the sliding window of the prequential metrics, and how often a point of their
        time series is taken.
    reference_ms:
        How much of the stream, from its start, makes up the detectors' reference window. Whole
        days, so that the rhythm of a day is in it; features must be warm when it starts.
    current_ms:
        Length of the window that is held against the reference; whole days too.
    psi_threshold:
        Population stability index from which a feature or the score counts as drifted.
    error_increase:
        Relative increase of the champion's mean loss from which its error counts as drifted.
    unwatched:
        Features that no detector watches.
    raise_after, resolve_after:
        Consecutive evaluations above the threshold (below half of it) that raise (resolve) an
        alert of a feature or the score. There are four evaluations in a current window.
    cooldown_ms:
        How long after an alert was resolved the same subject raises no other.
    learn_per_s:
        Examples a challenger learns in a second of wall time; more are shed, and counted.
    max_waiting:
        Predictions and labels the join holds; beyond it the oldest day is given up, and counted.
    """

    horizon_ms: int = 30 * DAY_MS
    metrics_window_ms: int = 7 * DAY_MS
    metrics_step_ms: int = 6 * HOUR_MS
    reference_ms: int = 4 * DAY_MS
    current_ms: int = 1 * DAY_MS
    psi_threshold: float = 0.2
    error_increase: float = 0.25
    unwatched: tuple[str, ...] = ()
    raise_after: int = 2
    resolve_after: int = 4
    cooldown_ms: int = 1 * DAY_MS
    learn_per_s: int = 5_000
    max_waiting: int = 2_000_000

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise SpecError(faults)


def _faults(spec: MonitorSpec) -> Iterable[str]:
    for name in ("reference_ms", "current_ms"):
        length_ms = getattr(spec, name)
        if length_ms <= 0 or length_ms % DAY_MS:
            yield f"{name} is {length_ms}: it must be a positive whole number of days"
    for name in (
        "horizon_ms",
        "metrics_window_ms",
        "metrics_step_ms",
        "psi_threshold",
        "error_increase",
        "raise_after",
        "resolve_after",
        "learn_per_s",
        "max_waiting",
    ):
        if getattr(spec, name) <= 0:
            yield f"{name} is {getattr(spec, name)}: it must be positive"
    if spec.metrics_step_ms > spec.metrics_window_ms:
        yield "metrics_step_ms is longer than metrics_window_ms"
    if spec.cooldown_ms < 0:
        yield "cooldown_ms is negative"
