"""The watchdog ends a process that stands still, and no other."""

import pytest

from streams.errors import BrokerUnavailable
from streams.transport.batch import TopicPartition
from streams.transport.lane import Progress
from streams.transport.settings import TransportSettings
from streams.transport.watchdog import EXIT_STALLED, Positions, Watchdog

AT = TopicPartition("t", 3)
SETTINGS = TransportSettings(bootstrap="nowhere:1", group_id="g", stall_s=60.0)


class World:
    """A watchdog over a progress that the test moves, with a clock of its own."""

    def __init__(self) -> None:
        self.now = 0.0
        self.progress = Progress(turned_at=0.0, finished_at=0.0)
        self.unread: dict[TopicPartition, int] = {}
        self.away = False
        self.probes = 0
        self.exits: list[int] = []
        self.dog = Watchdog(
            SETTINGS,
            self.progress,
            clock=lambda: self.now,
            probe=self._probe,
            exit_process=self.exits.append,
        )

    def _probe(self, positions: Positions) -> dict[TopicPartition, int]:
        self.probes += 1
        if self.away:
            raise BrokerUnavailable("away")
        return {at: offset for at, offset in self.unread.items() if at in positions}

    def live(self, seconds: int, *, turning: bool = True) -> None:
        for _ in range(0, seconds, 6):
            self.now += 6
            if turning:
                self.progress.turned_at = self.now
            self.dog.check()


@pytest.fixture
def world() -> World:
    return World()


def test_an_idle_partition_is_left_alone(world: World) -> None:
    world.progress.next_offset[AT] = 7
    world.progress.moved_at[AT] = 0.0
    world.live(600)
    assert world.exits == []
    assert 0 < world.probes <= 20


def test_a_silent_partition_that_holds_a_record_ends_the_process(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.progress.next_offset[AT] = 7
    world.progress.moved_at[AT] = 0.0
    world.unread = {AT: 7}
    world.live(66)
    assert world.exits == []
    world.live(60)
    assert world.exits[0] == EXIT_STALLED
    assert "t/3 holds a record at offset 7" in caplog.text


def test_a_partition_silent_since_its_assignment_is_seen(world: World) -> None:
    world.progress.next_offset[AT] = None
    world.progress.moved_at[AT] = 0.0
    world.unread = {AT: 0}
    world.live(126)
    assert world.exits[0] == EXIT_STALLED


def test_a_partition_that_recovers_is_forgiven(world: World) -> None:
    world.progress.next_offset[AT] = 7
    world.progress.moved_at[AT] = 0.0
    world.unread = {AT: 7}
    world.live(66)
    world.progress.next_offset[AT] = 8
    world.progress.moved_at[AT] = world.now
    world.unread = {}
    world.live(300)
    assert world.exits == []


def test_a_loop_that_does_not_turn_ends_the_process(world: World) -> None:
    world.live(120, turning=False)
    assert world.exits[0] == EXIT_STALLED


def test_a_batch_that_never_finishes_ends_the_process(world: World) -> None:
    world.progress.oldest_polled_at = 0.0
    world.live(120)
    assert world.exits[0] == EXIT_STALLED


def test_waiting_for_a_store_that_is_down_is_no_stall(world: World) -> None:
    world.progress.oldest_polled_at = 0.0
    world.progress.waiting = True
    world.live(600)
    assert world.exits == []


def test_a_broker_that_is_away_is_no_stall(world: World) -> None:
    world.progress.next_offset[AT] = 7
    world.progress.moved_at[AT] = 0.0
    world.unread, world.away = {AT: 7}, True
    world.live(600)
    assert world.exits == []
