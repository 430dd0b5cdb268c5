"""What a monitor shows of itself: for metrics, the live view and the report."""

from __future__ import annotations

import msgspec

from online_learning.alerts import Alert
from online_learning.prequential import WindowMetrics


class LearnerProgress(msgspec.Struct, frozen=True):
    """How many examples a challenger learned, and how many it shed to keep up."""

    model: str
    learned: int
    shed: int


class SubjectDrift(msgspec.Struct, frozen=True):
    """How a watched subject stands; `effect` in the measure of the subject's detector."""

    kind: str
    subject: str
    at_event_time_ms: int
    effect: float
    threshold: float
    baseline_mean: float | None
    current_mean: float | None
    alerting: bool


class MonitorSnapshot(msgspec.Struct, frozen=True):
    """All that the monitor knows, for metrics, the live view and the report.

    `window` is over the newest metrics window, `history` its time series (at most 512 points),
    `join` the counts of `JoinCounts`, `recent_alerts` the newest 256 alert records.
    """

    pipeline: str
    event_time_ms: int | None
    outcome_time_ms: int | None
    join: dict[str, int]
    window: WindowMetrics | None
    history: list[WindowMetrics]
    learners: list[LearnerProgress]
    drift: list[SubjectDrift]
    open_alerts: list[Alert]
    recent_alerts: list[Alert]
