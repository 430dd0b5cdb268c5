"""Alerts: what is published when something drifts, and when one is raised, updated, resolved."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from online_learning.detectors.bins import Histogram
from online_learning.detectors.port import Evaluation

ALERT_SCHEMA_VERSION = 1
PAGE_FROM = 2.0
UPDATE_FROM = 1.25
RESOLVE_BELOW = 0.5
MAX_RECENT = 256

Kind = Literal["error_drift", "feature_drift", "score_drift"]
State = Literal["raised", "updated", "resolved"]
Severity = Literal["warning", "page"]


class KeyShare(msgspec.Struct, frozen=True):
    """A topic key and its share, in [0, 1], of what makes up the drift among recent rows."""

    key: str
    share: float


class Evidence(msgspec.Struct, frozen=True):
    """Why an alert was raised.

    `effect` is a population stability index (`measure` is `psi`) or the relative rise of the mean
    log loss (`relative_increase`). Means are of the feature, the score, or the loss in nats; null
    where there is none. Histograms are over the same edges.
    """

    measure: Literal["psi", "relative_increase"]
    effect: float
    threshold: float
    baseline_mean: float | None
    current_mean: float | None
    reference: Histogram | None
    current: Histogram | None
    top_keys: list[KeyShare]
    example_ids: list[str]


class Alert(msgspec.Struct, frozen=True):
    """One step in an alert's life, as it stands on the alerts topic, keyed by `alert_id`.

    The newest record of an `alert_id` says how it stands; the id is made of pipeline, kind,
    subject and since, so that a repeated record is recognised.
    """

    alert_id: str
    pipeline: str
    kind: Kind
    subject: str
    """The feature's name, `score`, or `log_loss`."""
    state: State
    severity: Severity
    since_event_time_ms: int
    """When, in event time, the change seems to have begun."""
    detected_event_time_ms: int
    """How far event time had come when it was found; for losses, that of the newest label."""
    raised_at_ms: int
    """Wall time at which it was first raised."""
    changed_at_ms: int
    """Wall time of this record."""
    evidence: Evidence
    schema_version: int = ALERT_SCHEMA_VERSION


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When a subject's evaluations become an alert.

    Attributes
    ----------
    raise_after:
        Consecutive evaluations at or above the threshold.
    resolve_after:
        Consecutive evaluations below half of it.
    cooldown_ms:
        Event time after a resolution, and between two updates, in which nothing is said.
    """

    raise_after: int
    resolve_after: int
    cooldown_ms: int


@dataclass(slots=True)
class DriftStatus:
    """How a watched subject stands."""

    kind: Kind
    subject: str
    evaluation: Evaluation
    above: int = 0
    below: int = 0
    quiet_until_ms: int | None = None
    alert: Alert | None = None
    """The alert that is open, as last published."""


@dataclass(slots=True)
class AlertBook:
    """The open alerts of a pipeline, and how each watched subject stands. One entry a subject.

    Attributes
    ----------
    clock:
        Wall time, seconds since the epoch.
    """

    pipeline: str
    clock: Callable[[], float]
    statuses: dict[tuple[Kind, str], DriftStatus] = field(default_factory=dict)
    recent: deque[Alert] = field(default_factory=lambda: deque(maxlen=MAX_RECENT))

    @property
    def open(self) -> list[Alert]:
        """The alerts that are raised and not resolved."""
        return [s.alert for s in self.statuses.values() if s.alert is not None]

    def consider(
        self,
        kind: Kind,
        subject: str,
        evaluation: Evaluation,
        found_ms: int,
        policy: AlertPolicy,
        evidence: Callable[[], Evidence],
    ) -> Alert | None:
        """The alert that an evaluation gives rise to, if any; `evidence` is asked only then.

        `found_ms` is how far the stream's event time has come at this moment.
        """
        status = self.statuses.get((kind, subject))
        if status is None:
            status = DriftStatus(kind, subject, evaluation)
            self.statuses[kind, subject] = status
        _count(status, evaluation)
        state = _next_state(status, policy)
        if state is None:
            return None
        alert = self._alert(status, state, found_ms, evidence())
        status.alert = None if state == "resolved" else alert
        status.quiet_until_ms = evaluation.at_ms + policy.cooldown_ms
        self.recent.append(alert)
        return alert

    def forget(self, kind: Kind, subject: str) -> Alert | None:
        """Begin a subject anew; the resolution of its alert, where one was open."""
        status = self.statuses.pop((kind, subject), None)
        if status is None or status.alert is None:
            return None
        found_ms = status.alert.detected_event_time_ms
        alert = self._alert(status, "resolved", found_ms, status.alert.evidence)
        self.recent.append(alert)
        return alert

    def _alert(self, status: DriftStatus, state: State, found_ms: int, evidence: Evidence) -> Alert:
        now_ms = int(self.clock() * 1000)
        last, evaluation = status.alert, status.evaluation
        if last is not None:
            return msgspec.structs.replace(
                last,
                state=state,
                severity="page" if "page" in (last.severity, _severity(evaluation)) else "warning",
                changed_at_ms=now_ms,
                evidence=evidence,
            )
        since_ms = evaluation.since_ms
        return Alert(
            alert_id=f"{self.pipeline}:{status.kind}:{status.subject}:{since_ms}",
            pipeline=self.pipeline,
            kind=status.kind,
            subject=status.subject,
            state=state,
            severity=_severity(evaluation),
            since_event_time_ms=since_ms,
            detected_event_time_ms=found_ms,
            raised_at_ms=now_ms,
            changed_at_ms=now_ms,
            evidence=evidence,
        )


def finite(value: float) -> float | None:
    """None in the place of NaN and infinities, which JSON does not have."""
    return value if math.isfinite(value) else None


def _severity(evaluation: Evaluation) -> Severity:
    return "page" if evaluation.effect >= PAGE_FROM * evaluation.threshold else "warning"


def _count(status: DriftStatus, evaluation: Evaluation) -> None:
    status.evaluation = evaluation
    status.above = status.above + 1 if evaluation.exceeded else 0
    below = evaluation.effect < RESOLVE_BELOW * evaluation.threshold
    status.below = status.below + 1 if below else 0


def _next_state(status: DriftStatus, policy: AlertPolicy) -> State | None:
    if status.alert is not None and status.below >= policy.resolve_after:
        return "resolved"
    at_ms, effect = status.evaluation.at_ms, status.evaluation.effect
    if status.quiet_until_ms is not None and at_ms < status.quiet_until_ms:
        return None
    if status.alert is None:
        return "raised" if status.above >= policy.raise_after else None
    grown = effect >= UPDATE_FROM * status.alert.evidence.effect
    return "updated" if grown else None
