"""The lane: order of work, bounds, and what may be committed."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from streams.errors import DeliveryFailed
from streams.transport.batch import KafkaRecord, MicroBatch, TopicPartition
from streams.transport.group import Change
from streams.transport.lane import Lane
from streams.transport.metrics import TransportMetrics
from streams.transport.settings import TransportSettings
from tests.adapters.records import Record

SETTINGS = TransportSettings(bootstrap="nowhere:1", group_id="g", max_in_flight=3)
P0 = TopicPartition("t", 0)


class Group:
    """A consumer group that delivers what the test puts into it."""

    def __init__(self, settings: TransportSettings, listener: Lane, **_: Any) -> None:
        self.listener = listener
        self.ready: deque[list[Record]] = deque()
        self.epoch, self.paused = 1, False
        self.assigned = frozenset({P0})
        self.changes: deque[Change] = deque()
        self.timeouts: list[float] = []
        self.committed: list[dict[TopicPartition, int]] = []

    def subscribe(self, topics: list[str], on_committed: Callable[..., None]) -> None:
        self.confirm = on_committed

    def poll(self, timeout_s: float, limit: int) -> list[Record]:
        self.timeouts.append(timeout_s)
        return self.ready.popleft() if self.ready and not self.paused else []

    def pause(self, *, paused: bool) -> None:
        self.paused = paused

    def commit(self, offsets: dict[TopicPartition, int]) -> None:
        self.committed.append(offsets)

    def commit_now(self, offsets: dict[TopicPartition, int], deadline_s: float) -> None:
        self.committed.append(offsets)

    def lags(self) -> dict[TopicPartition, int]:
        return {P0: 0}


class Producer:
    """Nothing outstanding."""

    def __len__(self) -> int:
        return 0

    def poll(self, timeout_s: float = 0.0) -> int:
        return 0

    def serve_until(self, satisfied: Callable[[], bool], deadline_s: float) -> bool:
        return satisfied()


class Processor:
    """Holds batches until it is drained."""

    def __init__(self) -> None:
        self.held: list[MicroBatch] = []
        self.drains = 0
        self.error: Exception | None = None

    def process(self, batch: MicroBatch) -> None:
        self.held.append(batch)

    def drain(self, deadline_s: float) -> None:
        self.drains += 1
        if self.error is not None:
            raise self.error
        while self.held:
            self.held.pop(0).done()

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        raise AssertionError("not here")


class World:
    """A lane over a fake group."""

    def __init__(self) -> None:
        self.now = 0.0
        self.processor = Processor()
        self.offset = 0
        self.lane = Lane(
            SETTINGS,
            processor=self.processor,
            producer=Producer(),  # type: ignore[arg-type]  # a stand-in of the same shape
            metrics=TransportMetrics(CollectorRegistry()),
            clock=lambda: self.now,
            group=Group,  # type: ignore[arg-type]  # a stand-in of the same shape
        )
        self.lane.subscribe(["t"])
        self.group: Group = self.lane._group  # type: ignore[assignment]  # as made above

    def arrive(self, count: int = 1) -> None:
        self.group.ready.append(
            [Record(b"v", b"k", topic="t", offset=self.offset + i) for i in range(count)]
        )
        self.offset += count

    def work(self) -> MicroBatch | None:
        batch = self.lane.turn()
        if batch is not None:
            self.processor.process(batch)
            self.lane.handed_on()
        return batch


@pytest.fixture
def world() -> World:
    return World()


def test_an_idle_lane_lets_the_processor_finish_what_it_holds(world: World) -> None:
    world.arrive()
    world.work()
    assert world.lane.in_flight == 1
    world.work()
    assert world.processor.drains == 1
    assert world.lane.in_flight == 0
    assert world.group.timeouts == [0.005, 0.0], "held work must not wait for a poll"


def test_a_backlog_lets_the_processor_overlap(world: World) -> None:
    world.arrive()
    world.arrive()
    first, second = world.work(), world.work()
    assert world.processor.held == [first, second]
    assert world.processor.drains == 0


def test_batches_in_flight_are_bounded(world: World) -> None:
    for _ in range(10):
        world.arrive()
        world.processor.held.clear()
        world.lane.turn()
    assert world.lane.in_flight == SETTINGS.max_in_flight
    assert not world.group.paused
    world.now = 10.0
    world.lane.turn()
    assert world.group.paused, "a lane that stays full stops reading ahead"


def test_nothing_is_committed_that_was_not_finished(world: World) -> None:
    world.arrive(4)
    world.work()
    world.now = 5.0
    world.lane.turn()
    assert world.group.committed[-1] == {}
    world.now = 6.0
    world.lane.turn()
    assert world.group.committed[-1] == {P0: 4}
    world.arrive(2)
    batch = world.lane.turn()
    assert batch is not None
    world.group.confirm({P0: 4}, None)
    world.now = 10.0
    world.lane.turn()
    assert world.group.committed[-1] == {}


def test_a_batch_that_failed_later_comes_before_new_ones(world: World) -> None:
    world.arrive()
    world.arrive()
    first = world.work()
    assert first is not None
    error = DeliveryFailed("no report")
    first.fail(error)
    first.fail(error)
    assert world.lane.turn() is first
    assert first.error is error
    assert world.lane.turn() is not first


def test_an_error_while_draining_fails_every_batch_that_was_held(world: World) -> None:
    world.arrive()
    world.arrive()
    first, second = world.work(), world.work()
    world.processor.error = DeliveryFailed("the store went away")
    world.lane.turn()
    assert [world.lane.turn(), world.lane.turn()] == [first, second]


def test_partitions_are_given_up_after_their_work_is_finished(world: World) -> None:
    world.arrive(3)
    world.work()
    assert world.lane.revoking() == {P0: 3}


def test_work_of_an_ended_assignment_commits_nothing(world: World) -> None:
    world.arrive(3)
    batch = world.work()
    assert batch is not None
    world.group.epoch = 2
    world.lane.ended(Change("lost", frozenset({P0}), 2))
    batch.done()
    batch.fail(DeliveryFailed("late"))
    world.now = 5.0
    assert world.lane.turn() is None
    assert world.group.committed[-1] == {}
    assert not world.lane.is_current(batch)


def test_a_draining_lane_reads_nothing_more(world: World) -> None:
    world.lane.draining = True
    world.arrive()
    assert world.lane.turn() is None
    assert world.group.paused
