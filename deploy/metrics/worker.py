"""What a scoring worker exposes: its stages, its counts, its scores, how far it is behind.

Lag in records is the transport's own metric (`headrace_transport_lag_records`).

Every label has few values: pipeline, stage, feature and topic names come from the pipeline, and
free text (a dead letter's reason) is capped, so that bad input cannot fill Prometheus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry, Counter, Gauge

from deploy.metrics.histogram import BatchHistogram

STAGES = ("broker", "wait", "decode", "store", "kernel", "score", "publish", "total")
LATENCY_BOUNDS_S = tuple(
    ms / 1000
    for ms in (
        *(0.25, 0.5, 1, 2, 3, 4, 5, 7.5, 10, 15, 20, 30, 40, 50, 75, 100, 150),
        *(250, 500, 1_000, 2_500, 5_000, 10_000),
    )
)
BATCH_BOUNDS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 4_096, 8_192, 16_384)
SCORE_BOUNDS = (
    *(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5),
    *(0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 1.0),
)
MAX_REASONS = 48
OTHER = "other"


class WorkerMetrics:
    """The metrics of one scoring worker. All methods are cheap enough to call once a batch."""

    def __init__(
        self, registry: CollectorRegistry, *, pipeline: str, features: Sequence[str]
    ) -> None:
        self._pipeline = pipeline
        self._features = tuple(features)
        self._reasons: set[tuple[str, str]] = set()
        self._make_flow(registry)
        self._make_quality(registry)
        for total in (self._events, self._predictions, self._positives, self._late, self._repeated):
            total.labels(pipeline)

    def _make_flow(self, registry: CollectorRegistry) -> None:
        by = ("pipeline",)
        self._stage = BatchHistogram(
            "headrace_stage_seconds",
            "Seconds an event spent in a stage; batch stages count once for each of its events.",
            labels=("pipeline", "stage"),
            bounds=LATENCY_BOUNDS_S,
            registry=registry,
        )
        self._batch = BatchHistogram(
            "headrace_batch_size",
            "Events in a micro-batch.",
            labels=by,
            bounds=BATCH_BOUNDS,
            registry=registry,
        )
        self._events = Counter(
            "headrace_events", "Event records taken from the topic.", by, registry=registry
        )
        self._predictions = Counter(
            "headrace_predictions", "Predictions acknowledged by Kafka.", by, registry=registry
        )
        self._positives = Counter(
            "headrace_decisions", "Predictions at or over the threshold.", by, registry=registry
        )
        self._dead = Counter(
            "headrace_dead_letters",
            "Records that could not be processed, by stage and reason.",
            ("pipeline", "stage", "reason"),
            registry=registry,
        )
        self._lag_s = Gauge(
            "headrace_lag_seconds",
            "Age in seconds of the record that was processed last, against the wall clock.",
            by,
            registry=registry,
        )

    def _make_quality(self, registry: CollectorRegistry) -> None:
        by = ("pipeline",)
        self._score = BatchHistogram(
            "headrace_score",
            "Scores of the served model, from 0 to 1.",
            labels=by,
            bounds=SCORE_BOUNDS,
            registry=registry,
        )
        self._late = Counter(
            "headrace_late",
            "Predictions for events later than the allowed lateness.",
            by,
            registry=registry,
        )
        self._repeated = Counter(
            "headrace_repeated",
            "Predictions for events that were already in the store.",
            by,
            registry=registry,
        )
        self._degraded = Counter(
            "headrace_degraded",
            "Predictions made in a worse way than they should be.",
            ("pipeline", "how"),
            registry=registry,
        )
        self._nulls = Counter(
            "headrace_feature_nulls",
            "Feature values that were NaN.",
            ("pipeline", "feature"),
            registry=registry,
        )
        self._newest = Gauge(
            "headrace_newest_event_time_seconds",
            "Newest event time scored, Unix seconds; the wall clock minus this is the freshness.",
            by,
            registry=registry,
        )
        self._breaker = Gauge(
            "headrace_breaker_open",
            "1 while the breaker keeps calls from the scorer, else 0.",
            by,
            registry=registry,
        )
        self._model = Gauge(
            "headrace_model_version", "Version of the served model.", by, registry=registry
        )

    def batch(self, size: int, stages_s: Mapping[str, float | npt.NDArray[np.float64]]) -> None:
        """One micro-batch is done: `size` events, and where their time went.

        `stages_s` maps names of `STAGES` to seconds: one number for the whole batch, which then
        counts `size` times, or an array with a number for each event. Negative times, which
        clocks of two machines can give, count as 0. Raises ValueError for an unknown stage.
        """
        self._batch.observe((self._pipeline,), size)
        self._events.labels(self._pipeline).inc(size)
        for stage, seconds in stages_s.items():
            if stage not in STAGES:
                raise ValueError(f"unknown stage {stage!r}: there are {', '.join(STAGES)}")
            labels = (self._pipeline, stage)
            if isinstance(seconds, np.ndarray):
                self._stage.observe_many(labels, np.maximum(seconds, 0.0))
            else:
                self._stage.observe(labels, max(seconds, 0.0), size)

    def predictions(
        self,
        scores: npt.NDArray[np.floating],
        *,
        positives: int,
        newest_event_time_ms: int,
        late: int = 0,
        repeated: int = 0,
        degraded: Mapping[str, int] | None = None,
    ) -> None:
        """Predictions were acknowledged: their scores, and how many of them were odd."""
        pipeline = self._pipeline
        self._score.observe_many((pipeline,), scores)
        self._predictions.labels(pipeline).inc(len(scores))
        self._positives.labels(pipeline).inc(positives)
        self._late.labels(pipeline).inc(late)
        self._repeated.labels(pipeline).inc(repeated)
        self._newest.labels(pipeline).set(newest_event_time_ms / 1000)
        for how, count in (degraded or {}).items():
            self._degraded.labels(pipeline, how).inc(count)

    def features(self, matrix: npt.NDArray[np.floating]) -> None:
        """Count the NaN of a batch's features, float [n, len(features)]."""
        nulls = np.isnan(matrix).sum(axis=0)
        for at in np.flatnonzero(nulls):
            self._nulls.labels(self._pipeline, self._features[at]).inc(int(nulls[at]))

    def dead_letter(self, stage: str, reason: str, count: int = 1) -> None:
        """Records went to the dead letters. After `MAX_REASONS` pairs, new ones are `other`."""
        pair = (stage, reason)
        if pair not in self._reasons:
            if len(self._reasons) >= MAX_REASONS:
                pair = (OTHER, OTHER)
            else:
                self._reasons.add(pair)
        self._dead.labels(self._pipeline, *pair).inc(count)

    def lag_seconds(self, seconds: float) -> None:
        """Age of the record that was processed last."""
        self._lag_s.labels(self._pipeline).set(max(seconds, 0.0))

    def scorer(self, *, model_version: int, breaker_open: bool) -> None:
        """Which model version is served, and whether Triton is being left alone."""
        self._model.labels(self._pipeline).set(model_version)
        self._breaker.labels(self._pipeline).set(breaker_open)
