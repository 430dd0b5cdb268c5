"""The way of an event: decode -> features -> score -> publish -> acknowledge.

One micro-batch at a time, in line, on the transport's one thread. Nothing here catches an error:
the transport retries what is retriable, bisects the rest, and hands single culprits to `reject`.
Every step may be repeated for the same records: the store rejects repeats, a prediction is a pure
function of what the store then says, and consumers keep one prediction per id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, LABELS
from featurizers.online import FeatureBatch, OnlineFeatures
from inference.scorer import Scorer
from streams.codec import FUTURE, Decoded, RecordDecoder
from streams.deadletters import DeadLetters
from streams.lateness import Lateness
from streams.pipeline import Pipeline
from streams.records import Prediction, Stages
from streams.rejection import Rejected
from streams.transport.batch import Headers, KafkaRecord, MicroBatch
from streams.transport.producer import BatchProducer, Deliveries

CHAMPION = "champion"
REPEATED = "repeated"
REJECT_DEADLINE_S = 5.0
TRACE_HEADERS = frozenset({"traceparent", "tracestate"})


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """What became of one micro-batch: n events scored, the others set aside.

    Attributes
    ----------
    stages:
        Those of the whole batch; `broker_ms`, which differs by event, is 0 here.
    broker_ms:
        float64[n], from each event's timestamp to the poll.
    scores, late:
        float32[n] and bool[n].
    """

    events: Decoded
    labels: Decoded
    features: FeatureBatch
    scores: NDArray[np.float32]
    late: NDArray[np.bool_]
    degraded: str | None
    stages: Stages
    broker_ms: NDArray[np.float64]

    @property
    def rejected(self) -> list[Rejected]:
        """The records that go to the dead letters."""
        return [*self.labels.rejected, *self.events.rejected]


class ScoringProcessor:
    """Turns micro-batches of a pipeline's events and labels into predictions and dead letters.

    A batch is done once the store has its entries and the broker has acknowledged everything
    that was published for it. `observe` is then told what became of it, and the milliseconds that
    publishing took.

    Raises (from `process`) the errors of `featurizers`, `inference` and `streams`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        *,
        features: OnlineFeatures,
        scorer: Scorer,
        producer: BatchProducer,
        observe: Callable[[ScoredBatch, float], None],
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._features = features
        self._scorer = scorer
        self._producer = producer
        self._observe = observe
        self._wall_ms = wall_ms
        self._events = RecordDecoder(pipeline.events, pipeline.features, EVENTS)
        self._labels = RecordDecoder(pipeline.labels, pipeline.features, LABELS)
        self._dead = DeadLetters(pipeline.topic("deadletters"), producer)
        self._lateness = Lateness(pipeline.features.allowed_lateness_ms)
        self._encode = msgspec.json.Encoder().encode
        self._epoch: int | None = None
        scorer.model.require_features(pipeline.features.names, pipeline.features.fingerprint())

    def process(self, batch: MicroBatch) -> None:
        """Score one micro-batch; returns when all is sent, before the broker has confirmed it."""
        begun = time.perf_counter()
        if batch.epoch != self._epoch:
            # Partitions may come back having moved on: where they stood says nothing any more.
            self._epoch = batch.epoch
            self._events.forget()
        wait_ms = (time.monotonic() - batch.polled_at) * 1000
        now_ms = self._wall_ms()
        topics = batch.by_topic()
        labels = self._labels.decode(topics.get(self._pipeline.topic("labels"), ()), now_ms)
        events = self._events.decode(topics.get(self._pipeline.topic("events"), ()), now_ms)
        decoded = time.perf_counter()
        features = self._features.submit(events=events.facts, labels=labels.facts).result()
        asked = time.perf_counter()
        pending = self._scorer.submit(features.values.astype(np.float32))
        scores = pending.result()
        scored = ScoredBatch(
            events=events,
            labels=labels,
            features=features,
            scores=scores,
            late=self._lateness.mark(events.kept, events.facts.times_ms, _ahead(events)),
            degraded=pending.degraded,
            stages=Stages(
                broker_ms=0.0,
                wait_ms=round(wait_ms, 3),
                decode_ms=round((decoded - begun) * 1000, 3),
                store_ms=round(features.store_ms, 3),
                kernel_ms=round(features.kernel_ms, 3),
                score_ms=round((time.perf_counter() - asked) * 1000, 3),
            ),
            broker_ms=_broker_ms(events.kept, now_ms - wait_ms),
        )
        self._publish(scored, batch, now_ms)

    def _publish(self, scored: ScoredBatch, batch: MicroBatch, now_ms: int) -> None:
        begun = time.perf_counter()
        deliveries = Deliveries(self._producer, batch)
        self._publish_predictions(scored, deliveries)
        for reject in scored.rejected:
            self._dead.send(reject, now_ms, deliveries)
        deliveries.close()
        self._observe(scored, (time.perf_counter() - begun) * 1000)

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        """Set one record aside that cannot be processed; its dead letter is safe on return."""
        deliveries = Deliveries(self._producer)
        self._dead.send(Rejected.because(record, error), self._wall_ms(), deliveries)
        deliveries.wait(REJECT_DEADLINE_S)

    def drain(self, deadline_s: float) -> None:
        """Nothing is held between batches: what was processed is with the producer."""
        del deadline_s

    def _publish_predictions(self, scored: ScoredBatch, deliveries: Deliveries) -> None:
        topic = self._pipeline.topic("predictions")
        kept = scored.events.kept
        for prediction, record in zip(self._predictions(scored), kept, strict=True):
            self._producer.send(
                topic,
                key=record.key(),
                value=self._encode(prediction),
                headers=trace_headers(record),
                deliveries=deliveries,
            )

    def _predictions(self, scored: ScoredBatch) -> Iterator[Prediction]:
        model, events = self._scorer.model, scored.events
        degraded = [scored.degraded] if scored.degraded else []
        rows = zip(
            events.ids,
            events.keys,
            events.facts.times_ms.tolist(),
            events.kept,
            scored.scores.tolist(),
            scored.features.values.tolist(),
            scored.broker_ms.tolist(),
            scored.late.tolist(),
            _flags(scored),
            strict=True,
        )
        for event, key, time_ms, record, score, values, broker_ms, late, flags in rows:
            yield Prediction(
                id=event,
                key=key,
                event_time_ms=time_ms,
                score=score,
                decision=score >= model.threshold,
                threshold=model.threshold,
                features=values,
                feature_fingerprint=model.feature_fingerprint,
                model=model.name,
                model_version=model.version,
                variant=CHAMPION,
                source_topic=record.topic(),
                source_partition=record.partition(),
                source_offset=record.offset(),
                stages=msgspec.structs.replace(scored.stages, broker_ms=broker_ms),
                late=late,
                degraded=degraded,
                flags=flags,
            )


def trace_headers(record: KafkaRecord) -> Headers | None:
    """The W3C trace context of a record, handed on so that one trace spans both topics."""
    headers = record.headers()
    if not headers:
        return None
    return [(name, value) for name, value in headers if name in TRACE_HEADERS] or None


def _broker_ms(records: Sequence[KafkaRecord], polled_ms: float) -> NDArray[np.float64]:
    sent = np.fromiter((r.timestamp()[1] for r in records), np.float64, len(records))
    return np.maximum(polled_ms - sent, 0.0).round(3)


def _ahead(events: Decoded) -> list[int]:
    return [row for row, names in events.flags.items() if FUTURE in names]


def _flags(scored: ScoredBatch) -> list[list[str]]:
    flags: list[list[str]] = [[] for _ in scored.events.rows]
    for row, names in scored.events.flags.items():
        flags[row].extend(names)
    for row in np.flatnonzero(scored.features.repeated).tolist():
        flags[row].append(REPEATED)
    return flags
