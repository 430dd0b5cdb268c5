"""Which events are late: older than the newest of their partition by more than is allowed."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from streams.transport.batch import KafkaRecord

_NEVER = -(2**62)


class Lateness:
    """Marks late events, keeping one number per partition: the newest event time seen there.

    Late events are scored like others (their features are as of their own time); the mark tells
    consumers that the entity's later history was already in use elsewhere. The newest time is
    forgotten when the process ends, so a new owner may miss marks until the partition has moved
    on once.
    """

    def __init__(self, allowed_ms: int) -> None:
        self._allowed_ms = allowed_ms
        self._newest_ms: dict[int, int] = {}

    def mark(
        self,
        records: Sequence[KafkaRecord],
        times_ms: NDArray[np.int64],
        strays: Collection[int] = (),
    ) -> NDArray[np.bool_]:
        """bool[n]: which of the records, given with their event times int64[n], are late.

        `strays` are rows whose time is too far ahead to be believed: they make nothing late.
        """
        late = np.zeros(len(records), dtype=np.bool_)
        if not len(records):
            return late
        believed = times_ms.copy()
        believed[list(strays)] = _NEVER
        partitions = np.fromiter((r.partition() for r in records), np.int64, len(records))
        for partition in np.unique(partitions):
            rows = np.flatnonzero(partitions == partition)
            times = believed[rows]
            newest = np.maximum.accumulate(times)
            np.maximum(newest, self._newest_ms.get(int(partition), _NEVER), out=newest)
            late[rows] = times_ms[rows] < newest - self._allowed_ms
            self._newest_ms[int(partition)] = int(newest[-1])
        return late
