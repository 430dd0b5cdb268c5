"""The event clock and the read positions."""

from __future__ import annotations

import numpy as np

from online_learning.batches import Positions
from online_learning.event_time import EventClock, Progress

DAY_MS = 86_400_000


def test_a_few_wrong_timestamps_move_nothing() -> None:
    clock = EventClock()
    times = np.arange(0, 1_000_000, 1000, dtype=np.int64)
    times[::7] = 4_000_000_000_000
    times[::11] = 0
    partitions = np.zeros(len(times), dtype=np.int64)
    for i in range(0, len(times), 50):
        now_ms = clock.observe(partitions[i : i + 50], times[i : i + 50])
    assert now_ms is not None
    assert 900_000 <= now_ms <= 999_000


def test_the_slowest_partition_holds_the_clock_until_it_is_idle() -> None:
    clock = EventClock(idle_after_records=500)
    ahead, behind = np.full(100, 5 * DAY_MS), np.full(100, DAY_MS)
    clock.observe(np.zeros(100, dtype=np.int64), behind)
    for _ in range(5):
        assert clock.observe(np.ones(100, dtype=np.int64), ahead) == DAY_MS
    assert clock.observe(np.ones(100, dtype=np.int64), ahead) == 5 * DAY_MS
    # The idle one comes back with old events: time does not.
    assert clock.observe(np.zeros(100, dtype=np.int64), behind) == 5 * DAY_MS


def test_a_partition_counts_once_it_has_shown_enough() -> None:
    clock = EventClock(min_records=4)
    zeros = np.zeros(3, dtype=np.int64)
    assert clock.observe(zeros, np.array([5, 6, 7])) is None
    assert clock.observe(zeros[:1], np.array([8])) == 7


def test_records_read_again_are_not_fresh() -> None:
    progress = Progress()

    def fresh(partitions: list[int], offsets: list[int]) -> list[bool]:
        return list(progress.fresh(Positions(np.array(partitions), np.array(offsets))))

    assert fresh([0, 1, 0], [5, 0, 6]) == [True, True, True]
    assert fresh([0, 0, 1, 1], [6, 7, 0, 1]) == [False, True, False, True]
    assert fresh([], []) == []
