"""Rebalances inside a poll: nothing of an old assignment is kept, nothing of a new one lost."""

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError

from streams.errors import AuthenticationFailed, StreamError
from streams.transport.batch import TopicPartition
from streams.transport.group import Change, GroupConsumer
from streams.transport.settings import TransportSettings

SETTINGS = TransportSettings(bootstrap="nowhere:1", group_id="g")
P0, P1 = TopicPartition("t", 0), TopicPartition("t", 1)


class Message:
    """A record, or an error, as the driver returns it."""

    def __init__(self, at: TopicPartition, offset: int, error: int | None = None) -> None:
        self._at, self._offset = at, offset
        self._error = None if error is None else KafkaError(error)

    def topic(self) -> str:
        return self._at.topic

    def partition(self) -> int:
        return self._at.partition

    def offset(self) -> int:
        return self._offset

    def error(self) -> KafkaError | None:
        return self._error


class Driver:
    """A driver whose polls do what the test has prepared."""

    def __init__(self, options: dict[str, Any], logger: object) -> None:
        self.options = options
        self.polls: list[Callable[[], Message | None]] = []
        self.consumes: list[Callable[[], list[Message]]] = []
        self.calls: list[tuple[Any, ...]] = []

    def subscribe(self, topics: list[str], **callbacks: Callable[..., None]) -> None:
        self.callbacks = callbacks

    def poll(self, timeout_s: float) -> Message | None:
        return self.polls.pop(0)() if self.polls else None

    def consume(self, limit: int, timeout_s: float) -> list[Message]:
        return self.consumes.pop(0)() if self.consumes else []

    def commit(self, *, offsets: list[Any], asynchronous: bool) -> None:
        self.calls.append(
            ("commit", asynchronous, {(p.topic, p.partition): p.offset for p in offsets})
        )

    def seek(self, partition: Any) -> None:
        self.calls.append(("seek", partition.topic, partition.partition, partition.offset))

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *args: self.calls.append((name,))

    def assign_to(self, *partitions: TopicPartition) -> None:
        self.callbacks["on_assign"](self, [_Partition(at) for at in partitions])

    def revoke(self) -> None:
        self.callbacks["on_revoke"](self, [])


class _Partition:
    def __init__(self, at: TopicPartition) -> None:
        self.topic, self.partition = at


class Listener:
    """Has one offset to commit, and remembers the changes."""

    def __init__(self) -> None:
        self.offsets = {P0: 5}
        self.changes: list[Change] = []

    def revoking(self) -> dict[TopicPartition, int]:
        return self.offsets

    def ended(self, change: Change) -> None:
        self.changes.append(change)


class World:
    """A group consumer over the prepared driver."""

    def __init__(self) -> None:
        self.listener = Listener()
        self.confirmed: list[dict[TopicPartition, int]] = []
        made: list[Driver] = []

        def connect(options: dict[str, Any], logger: object) -> Driver:
            made.append(Driver(options, logger))
            return made[0]

        self.group = GroupConsumer(SETTINGS, self.listener, clock=lambda: 0.0, connect=connect)
        self.group.subscribe(["t"], lambda offsets, error: self.confirmed.append(offsets))
        self.driver = made[0]

    def poll(self) -> list[tuple[int, int]]:
        return [(m.partition(), m.offset()) for m in self.group.poll(0.005, 100)]


@pytest.fixture
def world() -> World:
    world = World()
    world.driver.assign_to(P0, P1)
    return world


def test_takes_the_first_record_and_what_else_is_there(world: World) -> None:
    world.driver.polls = [lambda: Message(P0, 5)]
    world.driver.consumes = [lambda: [Message(P1, 9), Message(P0, 6)]]
    assert world.poll() == [(0, 5), (1, 9), (0, 6)]


def test_records_polled_before_a_revocation_inside_the_poll_are_dropped(world: World) -> None:
    def revoked() -> list[Message]:
        world.driver.revoke()
        return [Message(P0, 6)]

    world.driver.polls = [lambda: Message(P0, 5)]
    world.driver.consumes = [revoked]
    epoch = world.group.epoch
    assert world.poll() == []
    assert world.group.epoch == epoch + 1
    assert ("commit", False, {P0: 5}) in world.driver.calls
    assert not [call for call in world.driver.calls if call[0] == "seek"]


def test_a_partition_assigned_again_inside_the_poll_is_read_again(world: World) -> None:
    def moved() -> list[Message]:
        world.driver.revoke()
        world.driver.assign_to(P0)
        return [Message(P0, 8), Message(P1, 3), Message(P0, 6), Message(P0, 7)]

    world.driver.polls = [lambda: Message(P0, 5)]
    world.driver.consumes = [moved]
    assert world.poll() == []
    assert [call for call in world.driver.calls if call[0] == "seek"] == [("seek", "t", 0, 6)]


def test_lost_partitions_are_not_committed(world: World) -> None:
    world.driver.callbacks["on_lost"](world.driver, [])
    assert not [call for call in world.driver.calls if call[0] == "commit"]
    assert world.listener.changes[-1].event == "lost"
    assert world.group.assigned == frozenset()


def test_a_new_assignment_reads_again_what_was_paused(world: World) -> None:
    world.group.pause(paused=True)
    world.driver.revoke()
    world.driver.calls.clear()
    world.driver.assign_to(P0)
    assert ("resume",) in world.driver.calls
    assert not world.group.paused


def test_an_offset_is_sent_once_and_again_after_a_failed_commit(world: World) -> None:
    def commits() -> int:
        return sum(call[0] == "commit" for call in world.driver.calls)

    world.group.commit({P0: 5})
    world.group.commit({P0: 5})
    assert commits() == 1
    failed = _Partition(P0)
    failed.offset, failed.error = 5, None  # type: ignore[attr-defined]  # shaped like the driver's
    world.driver.options["on_commit"](KafkaError(KafkaError.REQUEST_TIMED_OUT), [failed])
    world.group.commit({P0: 5})
    assert commits() == 2


def test_an_outage_is_reported_once_and_raises_nothing(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(5):
        world.driver.options["error_cb"](KafkaError(KafkaError._ALL_BROKERS_DOWN))
        assert world.poll() == []
    assert len(caplog.records) == 1
    assert "start Kafka" in caplog.text


def test_refused_credentials_end_the_worker(world: World) -> None:
    world.driver.options["error_cb"](KafkaError(KafkaError._AUTHENTICATION))
    with pytest.raises(AuthenticationFailed, match="check user"):
        world.poll()


def test_a_misused_driver_arrives_as_our_error(world: World) -> None:
    def broken() -> Message:
        raise RuntimeError("Consumer closed")

    world.driver.polls = [broken]
    with pytest.raises(StreamError, match="Consumer closed"):
        world.poll()
