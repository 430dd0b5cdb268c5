"""Where a partition stands in event time, so that strays can be told from the stream."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

TimeArray = NDArray[np.int64]
Mask = NDArray[np.bool_]

STRAYS_TO_MOVE = 8
_OPENING = 5


class EventClock:
    """The event time that one partition has reached, not led astray by single wrong times.

    An event further than `ahead_ms` beyond the clock, or further than `behind_ms` before it, is a
    stray: it is marked and does not move the clock. When `STRAYS_TO_MOVE` of them come with nothing
    else between, it is the stream that moved, and the clock follows. It begins at the median of the
    first events it is shown.
    """

    __slots__ = ("_ahead_ms", "_behind_ms", "_strays", "now_ms")

    def __init__(self, ahead_ms: int, behind_ms: int) -> None:
        self._ahead_ms = ahead_ms
        self._behind_ms = behind_ms
        self._strays = 0
        self.now_ms: int | None = None

    def mark(self, times_ms: TimeArray) -> tuple[Mask, Mask]:
        """Which of the events (n >= 1, in the partition's order) are far ahead, and far behind."""
        now_ms = int(np.median(times_ms[:_OPENING])) if self.now_ms is None else self.now_ms
        newest = int(times_ms.max())
        if newest <= now_ms + self._ahead_ms and times_ms.min() >= now_ms - self._behind_ms:
            self._strays = 0
            self.now_ms = max(now_ms, newest)
            none = np.zeros(len(times_ms), dtype=np.bool_)
            return none, none
        return self._mark_one_by_one(times_ms, now_ms)

    def _mark_one_by_one(self, times_ms: TimeArray, now_ms: int) -> tuple[Mask, Mask]:
        ahead = np.zeros(len(times_ms), dtype=np.bool_)
        behind = np.zeros(len(times_ms), dtype=np.bool_)
        for row, time_ms in enumerate(times_ms.tolist()):
            ahead[row] = time_ms > now_ms + self._ahead_ms
            behind[row] = time_ms < now_ms - self._behind_ms
            self._strays = self._strays + 1 if ahead[row] or behind[row] else 0
            if self._strays == 0:
                now_ms = max(now_ms, time_ms)
            elif self._strays == STRAYS_TO_MOVE:
                self._strays = 0
                now_ms = time_ms
        self.now_ms = now_ms
        return ahead, behind
