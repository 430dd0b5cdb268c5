"""How far a stream has come: in event time, robustly, and in positions, exactly."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from online_learning.batches import BoolArray, IntArray, Positions

RECENT_TIMES = 64


@dataclass(slots=True)
class _PartitionTime:
    recent: deque[int]
    read_at: int = 0

    @property
    def median_ms(self) -> int:
        return sorted(self.recent)[len(self.recent) // 2]


@dataclass(slots=True)
class EventClock:
    """Event time of a topic: the least, over its partitions, of the median of recent event times.

    Partitions are read nearly in step, and events within one come nearly in order; the median of
    the last 64 leaves a wrong timestamp without effect, where the greatest one would let a single
    event from the year 2099 close every window. The clock never goes back.

    Attributes
    ----------
    min_records:
        Records of a partition before its times count.
    idle_after_records:
        A partition of which none of the last so many records came no longer holds the clock back.
    """

    min_records: int = 16
    idle_after_records: int = 50_000
    _partitions: dict[int, _PartitionTime] = field(default_factory=dict)
    _read: int = 0
    _now_ms: int | None = None

    def observe(self, partitions: IntArray, times_ms: IntArray) -> int | None:
        """Take in a batch's event times (int64[n]) and return the time after it.

        None until a partition has shown `min_records` records.
        """
        for partition in np.unique(partitions).tolist():
            times = times_ms[partitions == partition]
            known = self._partitions.get(partition)
            if known is None:
                known = self._partitions[partition] = _PartitionTime(deque(maxlen=RECENT_TIMES))
            known.recent.extend(times[-RECENT_TIMES:].tolist())
            known.read_at = self._read + len(times_ms)
        self._read += len(times_ms)
        self._advance()
        return self._now_ms

    @property
    def now_ms(self) -> int | None:
        """The event time; None as long as too little was read."""
        return self._now_ms

    def _advance(self) -> None:
        oldest_read = self._read - self.idle_after_records
        medians = [
            p.median_ms
            for p in self._partitions.values()
            if len(p.recent) >= self.min_records and p.read_at >= oldest_read
        ]
        if medians:
            now_ms = min(medians)
            self._now_ms = now_ms if self._now_ms is None else max(self._now_ms, now_ms)


@dataclass(slots=True)
class Progress:
    """The highest offset read of each partition: tells a record read again from a new one."""

    offsets: dict[int, int] = field(default_factory=dict)

    def fresh(self, positions: Positions) -> BoolArray:
        """bool[n]: rows beyond everything read before. The rows then count as read.

        Rows of one partition must come in offset order, as a consumer reads them.
        """
        mask = np.zeros(len(positions.offsets), dtype=np.bool_)
        for partition in np.unique(positions.partitions).tolist():
            rows = positions.partitions == partition
            offsets = positions.offsets[rows]
            highest = self.offsets.get(partition, -1)
            mask[rows] = offsets > highest
            self.offsets[partition] = max(highest, int(offsets.max()))
        return mask
