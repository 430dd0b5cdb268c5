"""The monitor of a pipeline: joins, judges, teaches and watches, batch by batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import NamedTuple

import numpy as np

from featurizers.definitions import FeatureSet
from online_learning.alerts import Alert, AlertBook, finite
from online_learning.baselines import MajorityBaseline, NoChangeBaseline
from online_learning.batches import FloatArray, LabelBatch, OutcomeBatch, ScoredBatch
from online_learning.event_time import EventClock, Progress
from online_learning.join import LabelJoin
from online_learning.join_rows import PredictionRows
from online_learning.join_store import JoinStore
from online_learning.learners import Learner, LearningBudget, LogisticLearner
from online_learning.prequential import Prequential, WindowMetrics
from online_learning.snapshots import LearnerProgress, MonitorSnapshot, SubjectDrift
from online_learning.spec import MonitorSpec
from online_learning.watches import DistributionWatch, ErrorWatch

Clock = Callable[[], float]
REFRESH_S = 1.0


class MonitorOutput(NamedTuple):
    """What is to be published before the batch is acknowledged."""

    outcomes: OutcomeBatch
    alerts: list[Alert]


class Monitor:
    """Follows one pipeline's predictions and labels.

    Neither method reads or writes anything but the join store; errors of the store leave the
    monitor as if the batch had not come, so the call can be repeated. State other than the join's
    is in memory: a process that starts anew begins with an empty window and a new reference.

    Attributes
    ----------
    challengers:
        Learners whose learning is limited to the spec's `learn_per_s`, each.
    baselines:
        Learners that cost next to nothing and are never limited.
    threshold:
        A score of at least this much is decided as positive.
    clock:
        Wall time, seconds since the epoch.
    """

    def __init__(
        self,
        spec: MonitorSpec,
        features: FeatureSet,
        store: JoinStore,
        *,
        pipeline: str,
        threshold: float,
        clock: Clock,
        challengers: Sequence[Learner],
        baselines: Sequence[Learner],
    ) -> None:
        self._learners = (*challengers, *baselines)
        names = tuple(learner.name for learner in self._learners)
        self._budgets = {c.name: LearningBudget(spec.learn_per_s, clock) for c in challengers}
        self._join = LabelJoin(
            store, PredictionRows(features.names, names), spec.horizon_ms, spec.max_waiting
        )
        self._validation = Prequential(
            names, spec.metrics_window_ms, spec.metrics_step_ms, threshold
        )
        self._book = AlertBook(pipeline, clock)
        self._errors = ErrorWatch(spec, self._book)
        self._distributions = DistributionWatch(spec, features, self._book)
        self._event_clock = EventClock()
        self._read = Progress()
        self._clock = clock
        self._window: WindowMetrics | None = None
        self._window_at_s: float | None = None

    @property
    def learner_names(self) -> tuple[str, ...]:
        """Who the columns of an outcome's shadow scores are of."""
        return tuple(learner.name for learner in self._learners)

    def on_predictions(self, batch: ScoredBatch) -> MonitorOutput:
        """Take in predictions; outcomes are of those whose label had come before."""
        # Before anything is counted: whatever the store refuses, the call can be made again.
        self._join.advance(self._event_clock.now_ms)
        outcomes = self._join.predictions(batch, self._shadow_scores(batch.features))
        fresh = batch.take(self._read.fresh(batch.positions))
        now_ms = self._event_clock.observe(fresh.positions.partitions, fresh.event_time_ms)
        self._validation.predicted(fresh.event_time_ms)
        alerts = self._distributions.add(fresh, now_ms) if len(fresh) else []
        alerts += self._learn(outcomes)
        return MonitorOutput(outcomes, alerts)

    def on_labels(self, batch: LabelBatch) -> MonitorOutput:
        """Take in labels; outcomes are of those whose prediction is known."""
        outcomes = self._join.labels(batch)
        return MonitorOutput(outcomes, self._learn(outcomes))

    def snapshot(self) -> MonitorSnapshot:
        """How everything stands. The window's metrics are at most a second old."""
        return MonitorSnapshot(
            pipeline=self._book.pipeline,
            event_time_ms=self._event_clock.now_ms,
            outcome_time_ms=self._errors.now_ms,
            join=asdict(self._join.counts),
            window=self._current_window(),
            history=list(self._validation.history),
            learners=[
                LearnerProgress(name, budget.learned, budget.shed)
                for name, budget in self._budgets.items()
            ],
            drift=[
                SubjectDrift(
                    kind=status.kind,
                    subject=status.subject,
                    at_event_time_ms=status.evaluation.at_ms,
                    effect=status.evaluation.effect,
                    threshold=status.evaluation.threshold,
                    baseline_mean=finite(status.evaluation.baseline_mean),
                    current_mean=finite(status.evaluation.current_mean),
                    alerting=status.alert is not None,
                )
                for status in self._book.statuses.values()
            ],
            open_alerts=self._book.open,
            recent_alerts=list(self._book.recent),
        )

    def _shadow_scores(self, features: FloatArray) -> FloatArray:
        columns = [learner.score_many(features) for learner in self._learners]
        return np.column_stack(columns) if columns else np.zeros((len(features), 0))

    def _learn(self, outcomes: OutcomeBatch) -> list[Alert]:
        fresh = outcomes.take(outcomes.fresh)
        if not len(fresh):
            return []
        self._validation.add(fresh)
        alerts = self._errors.add(fresh)
        if self._errors.now_ms is not None:
            self._validation.advance(self._errors.now_ms)
        for learner in self._learners:
            budget = self._budgets.get(learner.name)
            examples = fresh if budget is None else fresh.take(budget.admit(len(fresh)))
            learner.learn_many(examples.features, examples.positive)
        return alerts

    def _current_window(self) -> WindowMetrics | None:
        now_s, outcome_time_ms = self._clock(), self._errors.now_ms
        stale = self._window_at_s is None or abs(now_s - self._window_at_s) >= REFRESH_S
        if outcome_time_ms is not None and stale:
            self._window = self._validation.window(outcome_time_ms)
            self._window_at_s = now_s
        return self._window


def build_monitor(
    spec: MonitorSpec,
    features: FeatureSet,
    store: JoinStore,
    *,
    pipeline: str,
    threshold: float,
    clock: Clock,
) -> Monitor:
    """A monitor with the learners that every pipeline has.

    The challenger is River's logistic regression; the baselines are the majority class and the
    newest label.
    """
    return Monitor(
        spec,
        features,
        store,
        pipeline=pipeline,
        threshold=threshold,
        clock=clock,
        challengers=(LogisticLearner(features.names),),
        baselines=(MajorityBaseline(), NoChangeBaseline()),
    )
