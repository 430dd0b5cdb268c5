"""The failure policy: what is retriable comes again, the rest is cut down to the bad record."""

import asyncio
import random
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry

from streams.errors import BrokerUnavailable, TransportBroken
from streams.transport.batch import KafkaRecord, MicroBatch
from streams.transport.metrics import TransportMetrics
from streams.transport.retry import FailurePolicy
from streams.transport.settings import TransportSettings
from tests.adapters.records import Record

SETTINGS = TransportSettings(bootstrap="nowhere:1", group_id="g", retry_give_up_s=60.0)


class Poisonous(Exception):
    """What a bad record does."""


class Processor:
    """Fails as the test says; finishes every batch it gets through."""

    def __init__(self, fail: Callable[[MicroBatch], Exception | None]) -> None:
        self.fail = fail
        self.accepted: list[int] = []
        self.rejected: list[int] = []
        self.reject_errors: list[Exception] = []

    def process(self, batch: MicroBatch) -> None:
        error = self.fail(batch)
        if error is not None:
            raise error
        self.accepted.extend(r.offset() for r in batch.records)
        batch.done()

    def drain(self, deadline_s: float) -> None:
        raise AssertionError("the policy never drains")

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        if self.reject_errors:
            raise self.reject_errors.pop()
        self.rejected.append(record.offset())


class World:
    """A policy over a processor, with a clock that only sleeping moves."""

    def __init__(self, fail: Callable[[MicroBatch], Exception | None]) -> None:
        self.now = 0.0
        self.pauses: list[float] = []
        self.current = True
        self.processor = Processor(fail)
        self.policy = FailurePolicy(
            SETTINGS,
            self.processor,
            TransportMetrics(CollectorRegistry()),
            is_current=lambda _batch: self.current,
            rng=random.Random(7),
            clock=lambda: self.now,
            sleep=self._sleep,
        )

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def run(self, batch: MicroBatch) -> None:
        asyncio.run(self.policy.run(batch))


def _batch(offsets: range) -> MicroBatch:
    records = [Record(b"v", b"k", offset=offset) for offset in offsets]
    return MicroBatch(records, epoch=1, polled_at=0.0)


def test_a_retriable_error_is_waited_out_with_growing_bounded_pauses() -> None:
    failures = [BrokerUnavailable("away")] * 12
    world = World(lambda _: failures.pop() if failures else None)
    batch = _batch(range(3))
    world.run(batch)
    assert batch.finished
    assert world.processor.accepted == [0, 1, 2]
    bounds = [min(0.1 * 2**n, 5.0) for n in range(12)]
    assert all(b / 2 <= p <= b for p, b in zip(world.pauses, bounds, strict=True))


def test_it_gives_up_after_its_time() -> None:
    world = World(lambda _: BrokerUnavailable("away"))
    batch = _batch(range(2))
    with pytest.raises(TransportBroken, match=r"60 s.*away"):
        world.run(batch)
    assert not batch.finished
    assert world.now < 60 + 5 + 1


@pytest.mark.parametrize("seed", range(50))
def test_only_the_bad_records_are_rejected(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    size = rng.randint(1, 300)
    bad = set(rng.sample(range(size), rng.randint(0, min(size, 20))))
    world = World(lambda b: Poisonous("bad") if any(r.offset() in bad for r in b.records) else None)
    batch = _batch(range(size))
    world.run(batch)
    assert batch.finished
    assert world.processor.rejected == sorted(bad)
    assert world.processor.accepted == [o for o in range(size) if o not in bad]


def test_a_topic_is_not_emptied_into_the_dead_letters() -> None:
    world = World(lambda _: Poisonous("it is the code"))
    with pytest.raises(TransportBroken, match=r"in a row.*it is the code"):
        world.run(_batch(range(1000)))
    assert len(world.processor.rejected) == 100


def test_rejecting_waits_for_a_dead_letter_topic_that_is_away() -> None:
    world = World(lambda _: Poisonous("bad"))
    world.processor.reject_errors = [BrokerUnavailable("away")] * 3
    batch = _batch(range(1))
    world.run(batch)
    assert batch.finished
    assert world.processor.rejected == [0]
    assert len(world.pauses) == 3


def test_a_record_that_cannot_even_be_set_aside_ends_the_worker() -> None:
    world = World(lambda _: Poisonous("bad"))
    world.processor.reject_errors = [ValueError("cannot")]
    batch = _batch(range(1))
    with pytest.raises(TransportBroken, match="neither processed"):
        world.run(batch)
    assert not batch.finished


def test_a_batch_whose_assignment_ended_while_waiting_is_given_back() -> None:
    world = World(lambda _: BrokerUnavailable("away"))
    world.current = False
    batch = _batch(range(2))
    world.run(batch)
    assert not batch.finished
    assert len(world.pauses) == 1


def test_a_fatal_error_ends_the_worker_without_rejecting() -> None:
    class Refused(Exception):
        retriable = False
        fatal = True

    world = World(lambda _: Refused("wrong password"))
    with pytest.raises(Refused):
        world.run(_batch(range(4)))
    assert world.processor.rejected == []


def test_a_batch_that_failed_after_processing_is_processed_again() -> None:
    world = World(lambda _: None)
    batch = _batch(range(2))
    batch.error = BrokerUnavailable("a report came back with an error")
    world.run(batch)
    assert batch.finished
    assert len(world.pauses) == 1
