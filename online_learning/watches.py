"""What is watched, and how: the champion's loss, every feature, and the score."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from featurizers.definitions import FeatureSet, WeekendFeature
from online_learning.alerts import Alert, AlertBook, AlertPolicy, Kind
from online_learning.batches import FloatArray, IntArray, OutcomeBatch, ScoredBatch
from online_learning.detectors import Adwin, AdwinConfig, Detector, Psi, PsiConfig
from online_learning.event_time import EventClock
from online_learning.evidence import RecentRows, distribution_evidence, loss_evidence
from online_learning.metrics import log_losses
from online_learning.spec import DAY_MS, HOUR_MS, WEEK_MS, MonitorSpec

LOSS_CAP_NATS = 7.0
FLUSH_ROWS = 2048
PANES = 4


class ErrorWatch:
    """Watches the champion's log loss, outcome by outcome, for a lasting rise.

    A loss counts for at most 7 nats, so that one confident mistake does not weigh like a hundred.
    """

    def __init__(self, spec: MonitorSpec, book: AlertBook) -> None:
        self._book = book
        self._detector = Adwin(
            AdwinConfig(increase=spec.error_increase, step_ms=spec.current_ms // PANES)
        )
        # ADWIN is a sequential test by itself: its finding needs no second one to be believed.
        self._policy = AlertPolicy(1, spec.resolve_after, spec.cooldown_ms)
        self._rows = RecentRows()
        self._clock = EventClock()

    @property
    def now_ms(self) -> int | None:
        """Event time of the outcomes; None as long as too little was seen."""
        return self._clock.now_ms

    def add(self, outcomes: OutcomeBatch) -> list[Alert]:
        """Take in fresh outcomes; corrections are left out, for their event was counted."""
        first = outcomes.take(outcomes.revision == 0)
        if not len(first):
            return []
        losses = np.minimum(log_losses(first.positive, first.scores), LOSS_CAP_NATS)
        losses /= LOSS_CAP_NATS
        self._rows.add(first.ids, first.keys, losses[:, None])
        self._detector.observe(first.event_time_ms, losses)
        one_stream = np.zeros(len(first), dtype=np.int64)
        now_ms = self._clock.observe(one_stream, first.event_time_ms)
        if now_ms is None:
            return []
        found = [
            self._book.consider(
                "error_drift",
                "log_loss",
                evaluation,
                int(np.median(first.known_at_ms)),
                self._policy,
                partial(loss_evidence, evaluation, self._rows, LOSS_CAP_NATS),
            )
            for evaluation in self._detector.evaluate(now_ms)
        ]
        return [alert for alert in found if alert is not None]


class DistributionWatch:
    """Watches the distribution of every feature and of the score against their beginning.

    Rows are gathered and handed to the detectors a few thousand at a time. The score's reference
    begins anew when another model version serves, for another model's scores are not drift.
    """

    def __init__(self, spec: MonitorSpec, features: FeatureSet, book: AlertBook) -> None:
        self._spec = spec
        self._book = book
        self._columns = watched_columns(spec, features)
        self._score_column = len(features.names)
        self._policy = AlertPolicy(spec.raise_after, spec.resolve_after, spec.cooldown_ms)
        self._detectors: dict[str, Detector] = {}
        self._score_version: int | None = None
        self._rows = RecentRows()
        self._times: list[IntArray] = []
        self._values: list[FloatArray] = []
        self._versions: list[IntArray] = []
        self._waiting = 0
        self._pane: int | None = None

    def add(self, batch: ScoredBatch, now_ms: int | None) -> list[Alert]:
        """Take in fresh predictions and evaluate what event time `now_ms` makes due."""
        values = np.column_stack([batch.features, batch.scores])
        self._rows.add(batch.ids, batch.keys, values)
        self._times.append(batch.event_time_ms)
        self._values.append(values)
        self._versions.append(batch.model_version)
        self._waiting += len(batch)
        if now_ms is None:
            return []
        pane = now_ms // (self._spec.current_ms // PANES)
        if self._waiting < FLUSH_ROWS and pane == self._pane:
            return []
        self._pane = pane
        return self._flush(now_ms)

    def _flush(self, now_ms: int) -> list[Alert]:
        times = np.concatenate(self._times)
        values, versions = np.concatenate(self._values), np.concatenate(self._versions)
        self._times, self._values, self._versions, self._waiting = [], [], [], 0
        if not self._detectors:
            start_ms = _start_ms(times, now_ms)
            self._detectors = {name: self._detector(start_ms) for name in self._columns}
        alerts = []
        for name, column in self._columns.items():
            detector = self._detectors[name]
            detector.observe(times, values[:, column])
            alerts += self._evaluate(detector, "feature_drift", name, column, now_ms)
        return alerts + self._score(times, values[:, self._score_column], versions, now_ms)

    def _score(
        self, times: IntArray, scores: FloatArray, versions: IntArray, now_ms: int
    ) -> list[Alert]:
        version = int(versions[-1])
        served = versions == version
        alerts: list[Alert] = []
        if version != self._score_version:
            self._score_version = version
            self._detectors["score"] = self._detector(_start_ms(times[served], now_ms))
            resolved = self._book.forget("score_drift", "score")
            alerts += [resolved] if resolved else []
        detector = self._detectors["score"]
        detector.observe(times[served], scores[served])
        return alerts + self._evaluate(detector, "score_drift", "score", self._score_column, now_ms)

    def _evaluate(
        self, detector: Detector, kind: Kind, subject: str, column: int, now_ms: int
    ) -> list[Alert]:
        found = [
            self._book.consider(
                kind,
                subject,
                evaluation,
                now_ms,
                self._policy,
                partial(distribution_evidence, evaluation, self._rows, column),
            )
            for evaluation in detector.evaluate(now_ms)
        ]
        return [alert for alert in found if alert is not None]

    def _detector(self, start_ms: int) -> Psi:
        return PsiConfig(
            start_ms=start_ms,
            reference_ms=self._spec.reference_ms,
            window_ms=self._spec.current_ms,
            threshold=self._spec.psi_threshold,
            panes=PANES,
        ).build()


def watched_columns(spec: MonitorSpec, features: FeatureSet) -> dict[str, int]:
    """Name and column of the features whose distribution can be watched.

    A weekend flag repeats every week, so windows that are not whole weeks would take each weekend
    for drift: it is left out then, as is what the spec names.
    """
    whole_weeks = spec.reference_ms % WEEK_MS == 0 and spec.current_ms % WEEK_MS == 0
    return {
        feature.name: column
        for column, feature in enumerate(features.features)
        if feature.name not in spec.unwatched
        and (whole_weeks or not isinstance(feature, WeekendFeature))
    }


def _start_ms(times_ms: IntArray, now_ms: int) -> int:
    """The full hour in which a stream began, but for timestamps that are far from now."""
    near: Sequence[int] = times_ms[np.abs(times_ms - now_ms) < DAY_MS].tolist()
    return min(near, default=now_ms) // HOUR_MS * HOUR_MS
