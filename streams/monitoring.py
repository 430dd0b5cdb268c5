"""The way of a label: predictions and labels -> join -> metrics, learners, detectors -> alerts."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import LABELS
from online_learning.alerts import Alert
from online_learning.batches import LabelBatch, OutcomeBatch, Positions, ScoredBatch
from online_learning.monitor import Monitor, MonitorOutput
from streams.codec import Decoded, RecordDecoder
from streams.deadletters import DeadLetters
from streams.errors import DecodeError
from streams.pipeline import Pipeline
from streams.records import Outcome, Prediction
from streams.rejection import DECODE, Rejected
from streams.transport.batch import KafkaRecord, MicroBatch
from streams.transport.producer import BatchProducer, Deliveries

REJECT_DEADLINE_S = 5.0


class MonitorProcessor:
    """Feeds a monitor with a pipeline's predictions and labels, and publishes what it finds.

    Labels that cannot be read are left to the worker, which sets them aside; a prediction that
    cannot be read, or was made of other features, goes to the dead letters. A batch is done once
    the join store has it and its outcomes and alerts are acknowledged.

    Raises (from `process`) the errors of `online_learning` and `streams`.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        monitor: Monitor,
        producer: BatchProducer,
        *,
        observe: Callable[[Monitor, MonitorOutput], None],
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._pipeline = pipeline
        self._monitor = monitor
        self._producer = producer
        self._observe = observe
        self._wall_ms = wall_ms
        self._labels = RecordDecoder(pipeline.labels, pipeline.features, LABELS)
        self._prediction = msgspec.json.Decoder(Prediction).decode
        self._encode = msgspec.json.Encoder().encode
        self._dead = DeadLetters(pipeline.topic("deadletters"), producer)
        self._fingerprint = pipeline.features.fingerprint()
        # Bounded by the batches in flight.
        self._announced: list[tuple[Deliveries, list[Alert]]] = []

    def process(self, batch: MicroBatch) -> None:
        """Join, judge, learn, watch; returns when all findings are sent."""
        deliveries = Deliveries(self._producer, batch)
        now_ms = self._wall_ms()
        topics = batch.by_topic()
        predicted, rejected = self._predictions(topics.get(self._pipeline.topic("predictions"), ()))
        known = self._labels.decode(topics.get(self._pipeline.topic("labels"), ()), now_ms)
        if len(predicted):
            self._publish(self._monitor.on_predictions(predicted), deliveries)
        if known.kept:
            self._publish(self._monitor.on_labels(self._label_batch(known)), deliveries)
        for reject in rejected:
            self._dead.send(reject, now_ms, deliveries)
        deliveries.close()

    def drain(self, deadline_s: float) -> None:
        """Nothing is held between batches: what was processed is with the producer."""
        del deadline_s

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        """Set one record aside that cannot be processed; its dead letter is safe on return."""
        deliveries = Deliveries(self._producer)
        self._dead.send(Rejected.because(record, error), self._wall_ms(), deliveries)
        deliveries.wait(REJECT_DEADLINE_S)

    def _predictions(self, records: Sequence[KafkaRecord]) -> tuple[ScoredBatch, list[Rejected]]:
        rows: list[Prediction] = []
        kept: list[KafkaRecord] = []
        rejected: list[Rejected] = []
        for record in records:
            try:
                row = self._read(record)
            except DecodeError as error:
                rejected.append(Rejected.because(record, error))
            else:
                rows.append(row)
                kept.append(record)
        return self._scored_batch(rows, kept), rejected

    def _read(self, record: KafkaRecord) -> Prediction:
        try:
            row = self._prediction(record.value() or b"")
        except (ValueError, RecursionError) as error:
            message = f"is no prediction record: {error}"
            raise DecodeError(DECODE, "invalid", message) from error
        if row.feature_fingerprint != self._fingerprint:
            raise DecodeError(
                DECODE,
                "other_features",
                f"was made of features {row.feature_fingerprint}, the pipeline has "
                f"{self._fingerprint}: monitor it with the pipeline that made it",
                "feature_fingerprint",
            )
        return row

    def _scored_batch(
        self, rows: Sequence[Prediction], records: Sequence[KafkaRecord]
    ) -> ScoredBatch:
        n, width = len(rows), len(self._pipeline.features.names)
        features = np.array([row.features for row in rows], dtype=np.float64)
        return ScoredBatch(
            ids=[row.id for row in rows],
            keys=[row.key for row in rows],
            event_time_ms=_integers((row.event_time_ms for row in rows), n),
            scores=np.fromiter((row.score for row in rows), np.float64, n),
            features=features.reshape(n, width),
            model_version=_integers((row.model_version for row in rows), n),
            positions=_positions(records),
        )

    def _label_batch(self, known: Decoded) -> LabelBatch:
        schema = self._pipeline.labels
        known_at = (getattr(row, schema.known_at) for row in known.rows)
        return LabelBatch(
            ids=known.ids,
            event_time_ms=known.facts.times_ms,
            known_at_ms=_integers(known_at, len(known.rows)),
            labels=known.facts.values[schema.value],
            positions=_positions(known.kept),
        )

    def _publish(self, output: MonitorOutput, deliveries: Deliveries) -> None:
        topic = self._pipeline.topic("outcomes")
        for outcome in self._outcomes(output.outcomes):
            self._producer.send(
                topic,
                key=outcome.key.encode(),
                value=self._encode(outcome),
                deliveries=deliveries,
            )
        self._send_alerts(output.alerts, deliveries)
        self._observe(self._monitor, output)

    def _send_alerts(self, alerts: list[Alert], deliveries: Deliveries) -> None:
        """Send alerts, and again those whose delivery failed: the monitor says each only once."""
        failed = [a for earlier, sent in self._announced if earlier.error for a in sent]
        self._announced = [(d, sent) for d, sent in self._announced if d.pending and not d.error]
        for alert in (*failed, *alerts):
            self._producer.send(
                self._pipeline.topic("alerts"),
                key=alert.alert_id.encode(),
                value=self._encode(alert),
                deliveries=deliveries,
            )
        if failed or alerts:
            self._announced.append((deliveries, [*failed, *alerts]))

    def _outcomes(self, outcomes: OutcomeBatch) -> Iterator[Outcome]:
        names = self._monitor.learner_names
        rows = zip(
            outcomes.ids,
            outcomes.keys,
            outcomes.event_time_ms.tolist(),
            outcomes.known_at_ms.tolist(),
            outcomes.labels.tolist(),
            outcomes.scores.tolist(),
            outcomes.shadow_scores.tolist(),
            outcomes.features.tolist(),
            outcomes.model_version.tolist(),
            outcomes.revision.tolist(),
            strict=True,
        )
        for event, key, time_ms, known_ms, label, score, shadows, values, version, revision in rows:
            yield Outcome(
                id=event,
                key=key,
                event_time_ms=time_ms,
                known_at_ms=known_ms,
                label=label,
                score=score,
                # JSON has no NaN: msgspec writes null, which says the same.
                shadow_scores=dict(zip(names, shadows, strict=True)),
                features=values,
                model_version=version,
                revision=revision,
            )


def _positions(records: Sequence[KafkaRecord]) -> Positions:
    n = len(records)
    return Positions(
        _integers((r.partition() for r in records), n), _integers((r.offset() for r in records), n)
    )


def _integers(values: Iterator[Any], n: int) -> NDArray[np.int64]:
    return np.fromiter(values, np.int64, n)
