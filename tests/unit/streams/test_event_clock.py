"""The clock of a partition follows the stream and not its strays."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.event_clock import STRAYS_TO_MOVE, EventClock


def marks(clock: EventClock, times: list[int]) -> list[str]:
    ahead, behind = clock.mark(np.array(times, dtype=np.int64))
    return ["ahead" if a else "behind" if b else "" for a, b in zip(ahead, behind, strict=True)]


def test_a_stray_is_marked_and_does_not_move_the_clock() -> None:
    clock = EventClock(ahead_ms=100, behind_ms=1000)
    assert marks(clock, [10, 20, 30, 9_000, 40, -2_000, 50]) == [
        *([""] * 3), "ahead", "", "behind", "",
    ]  # fmt: skip
    assert clock.now_ms == 50


def test_the_first_event_of_all_may_be_a_stray() -> None:
    clock = EventClock(ahead_ms=100, behind_ms=1000)
    assert marks(clock, [9_000, 10, 20, 30, 40]) == ["ahead", "", "", "", ""]


def test_a_stream_that_moved_takes_the_clock_along() -> None:
    clock = EventClock(ahead_ms=100, behind_ms=1000)
    marks(clock, [10])
    assert marks(clock, [500] * (STRAYS_TO_MOVE + 2)) == ["ahead"] * STRAYS_TO_MOVE + ["", ""]


@given(
    st.lists(st.integers(-5_000, 5_000), min_size=1, max_size=40),
    st.lists(st.integers(1, 40), max_size=5),
)
def test_how_a_stream_is_cut_into_batches_makes_no_difference(
    times: list[int], cuts: list[int]
) -> None:
    # Where it begins depends on what the first batch holds, so the clock is begun by hand.
    whole, cut = EventClock(100, 1000), EventClock(100, 1000)
    marks(whole, [0])
    marks(cut, [0])
    edges = sorted({0, len(times), *(c for c in cuts if c < len(times))})
    parts = [mark for a, b in pairwise(edges) for mark in marks(cut, times[a:b])]
    assert parts == marks(whole, times)
    assert cut.now_ms == whole.now_ms
