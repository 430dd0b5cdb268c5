"""The scoring processor: what it keeps between micro-batches, and for how long."""

from __future__ import annotations

import json
import time

import msgspec

from featurizers.online import OnlineFeatures
from featurizers.store.memory import MemoryStore
from inference.model import ModelVersion
from streams.pipelines.fraud import PIPELINE
from streams.records import Prediction
from streams.scoring import ScoringProcessor
from streams.transport.batch import MicroBatch
from tests.adapters.producer import MemoryProducer
from tests.adapters.records import Record
from tests.adapters.scorer import FakeScorer
from tests.bad_inputs import DAY_MS, NOW_MS, payment


def batch(number: int, time_ms: int, epoch: int) -> MicroBatch:
    value = json.dumps(payment(f"e{number}", event_time_ms=time_ms)).encode()
    record = Record(value, b"c1", offset=number)
    return MicroBatch([record], epoch=epoch, polled_at=time.monotonic())


def test_a_new_assignment_begins_without_the_clocks_of_the_old_one() -> None:
    features, producer = PIPELINE.features, MemoryProducer()
    model = ModelVersion("fraud", 1, features.fingerprint(), features.names, 0.5)
    store = MemoryStore(time.time)
    processor = ScoringProcessor(
        PIPELINE,
        features=OnlineFeatures(features, store, time.perf_counter),
        scorer=FakeScorer(0.1, model=model),
        producer=producer,
        observe=lambda scored, publish_ms: None,
        wall_ms=lambda: NOW_MS,
    )
    earlier = NOW_MS - 60 * DAY_MS
    for number, (time_ms, epoch) in enumerate([(earlier, 1), (NOW_MS, 1), (NOW_MS, 2)]):
        processor.process(batch(number, time_ms, epoch))
    flags = [msgspec.json.decode(s.value or b"", type=Prediction).flags for s in producer.sent]
    assert flags == [[], ["future"], []]
