"""Reads a run's topics, from their beginning to where they end now, into columns.

Only fields that figures need are decoded. Memory is bounded: after `limit` records a topic is
cut, and the report says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from deploy.report.columns import (
    STAGES,
    DeadLetterColumns,
    EventColumns,
    Floats,
    Injection,
    OutcomeColumns,
    PredictionColumns,
    Run,
    position,
)
from online_learning.alerts import Alert
from streams.pipeline import Pipeline
from streams.records import Stages
from streams.transport.batch import KafkaRecord

TopicReader = Callable[[str], Iterable[Sequence[KafkaRecord]]]
"""Gives the records of a topic, in batches, up to the end that it had when it was called."""

DEFAULT_LIMIT = 3_000_000

_Row = TypeVar("_Row")


class _Prediction(msgspec.Struct):
    id: str
    key: str
    event_time_ms: int
    score: float
    decision: bool
    features: list[float | None]
    source_partition: int
    source_offset: int
    stages: Stages
    model_version: int = 0
    late: bool = False
    degraded: list[str] = msgspec.field(default_factory=list)
    flags: list[str] = msgspec.field(default_factory=list)


class _Outcome(msgspec.Struct):
    id: str
    event_time_ms: int
    known_at_ms: int
    label: float
    revision: int = 0
    shadow_scores: dict[str, float | None] = msgspec.field(default_factory=dict)


class _DeadLetter(msgspec.Struct):
    stage: str
    reason: str
    source_topic: str
    source_partition: int
    source_offset: int


def collect(
    pipeline: Pipeline,
    read: TopicReader,
    *,
    from_ms: int = 0,
    injections: Sequence[Injection] = (),
    limit: int = DEFAULT_LIMIT,
) -> Run:
    """Everything that the pipeline's topics hold since `from_ms` (wall clock, Kafka timestamps).

    Raises what `read` raises when the broker cannot be read. Records that cannot be decoded as
    what their topic promises raise msgspec.ValidationError: they are not ours.
    """
    source = _Source(pipeline, read, from_ms, limit)
    return Run(
        pipeline=pipeline.name,
        feature_names=pipeline.features.names,
        events=_events(source),
        predictions=_predictions(source, len(pipeline.features.names)),
        outcomes=_outcomes(source),
        dead_letters=_dead_letters(source),
        alerts=tuple(_alerts(source)),
        injections=tuple(injections),
        reference_ms=pipeline.monitors.reference_ms,
        current_ms=pipeline.monitors.current_ms,
        cut=tuple(source.cut),
    )


class _Source:
    """A pipeline's topics, from a wall-clock time on, at most `limit` records of each."""

    def __init__(self, pipeline: Pipeline, read: TopicReader, from_ms: int, limit: int) -> None:
        self.pipeline = pipeline
        self._read = read
        self._from_ms = from_ms
        self._limit = limit
        self.cut: list[str] = []

    def records(self, kind: str) -> Iterator[KafkaRecord]:
        left = self._limit
        topic = self.pipeline.topic(kind)
        for batch in self._read(topic):
            for record in batch:
                if record.timestamp()[1] < self._from_ms:
                    continue
                if not left:
                    self.cut.append(topic)
                    return
                left -= 1
                yield record

    def rows(self, kind: str, row: type[_Row]) -> Iterator[tuple[KafkaRecord, _Row]]:
        decode = msgspec.json.Decoder(row).decode
        for record in self.records(kind):
            value = record.value()
            if value is not None:
                yield record, decode(value)


def _events(source: _Source) -> EventColumns:
    rows = [(r.partition(), r.offset(), r.timestamp()[1]) for r in source.records("events")]
    columns = np.array(rows, dtype=np.int64).reshape(-1, 3)
    return EventColumns(position(columns[:, 0], columns[:, 1]), columns[:, 2])


def _predictions(source: _Source, width: int) -> PredictionColumns:
    whole: list[tuple[int, int, int, int, int, int, int]] = []
    marks: list[tuple[bool, bool, bool, bool]] = []
    score: list[float] = []
    stages: list[tuple[float, ...]] = []
    features: list[Floats] = []
    keys: dict[str, int] = {}
    for record, row in source.rows("predictions", _Prediction):
        key = keys.setdefault(row.key, len(keys))
        place = (row.source_partition, row.source_offset)
        published = record.timestamp()[1]
        whole.append((hash(row.id), key, row.event_time_ms, *place, published, row.model_version))
        marks.append((row.decision, row.late, bool(row.degraded), "repeated" in row.flags))
        score.append(row.score)
        stages.append(tuple(getattr(row.stages, f"{name}_ms") for name in STAGES))
        features.append(np.array(row.features, dtype=np.float64))
    ints = np.array(whole, dtype=np.int64).reshape(-1, 7)
    bools = np.array(marks, dtype=np.bool_).reshape(-1, 4)
    return PredictionColumns(
        id_hash=ints[:, 0],
        key=ints[:, 1],
        keys=list(keys),
        event_time_ms=ints[:, 2],
        score=np.array(score, dtype=np.float64),
        decision=bools[:, 0],
        features=np.array(features, dtype=np.float64).reshape(-1, width),
        stages_ms=np.array(stages, dtype=np.float64).reshape(-1, len(STAGES)),
        source=position(ints[:, 3], ints[:, 4]),
        published_at_ms=ints[:, 5],
        model_version=ints[:, 6],
        late=bools[:, 1],
        degraded=bools[:, 2],
        repeated=bools[:, 3],
    )


def _dead_letters(source: _Source) -> DeadLetterColumns:
    count: Counter[tuple[str, str, str]] = Counter()
    lost: list[tuple[int, int]] = []
    events = source.pipeline.topic("events")
    for _, row in source.rows("deadletters", _DeadLetter):
        count[(row.source_topic, row.stage, row.reason)] += 1
        if row.source_topic == events:
            lost.append((row.source_partition, row.source_offset))
    places = np.array(lost, dtype=np.int64).reshape(-1, 2)
    return DeadLetterColumns(dict(count), position(places[:, 0], places[:, 1]))


def _outcomes(source: _Source) -> OutcomeColumns:
    newest: dict[str, _Outcome] = {}
    for _, row in source.rows("outcomes", _Outcome):
        known = newest.get(row.id)
        if known is None or row.revision >= known.revision:
            newest[row.id] = row
    rows = list(newest.values())
    roles = sorted({role for row in rows for role in row.shadow_scores})
    return OutcomeColumns(
        id_hash=np.array([hash(row.id) for row in rows], dtype=np.int64),
        event_time_ms=np.array([row.event_time_ms for row in rows], dtype=np.int64),
        known_at_ms=np.array([row.known_at_ms for row in rows], dtype=np.int64),
        label=np.array([bool(row.label) for row in rows], dtype=np.bool_),
        scores={role: _scores(rows, role) for role in roles},
    )


def _scores(rows: Sequence[_Outcome], role: str) -> Floats:
    found = (row.shadow_scores.get(role) for row in rows)
    return np.array([np.nan if score is None else score for score in found], dtype=np.float64)


def _alerts(source: _Source) -> Iterator[Alert]:
    for _, alert in source.rows("alerts", Alert):
        yield alert
