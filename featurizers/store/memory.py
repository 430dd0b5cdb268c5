"""The store in this process's memory: for tests, offline trials and single-process pipelines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from featurizers.layout import SOURCE_BITS, EntityLayout
from featurizers.store.limits import AGREEING, CHECK_EVERY, MAX_ENTRIES, SLACK_MS
from featurizers.store.port import EntityEntries, EntityLogs, Ints, Logs, Pending, Request

_Entry = tuple[int, ...]


@dataclass(slots=True)
class _Log:
    entries: list[_Entry] = field(default_factory=list)
    expires_at_s: float = 0.0

    def place(self, entry: _Entry) -> int | None:
        source, identity = entry[0] % (1 << SOURCE_BITS), entry[1]
        for place, other in enumerate(self.entries, start=1):
            if other[1] == identity and other[0] % (1 << SOURCE_BITS) == source:
                return place
        return None

    def excess(self, retention_ms: int, max_entries: int) -> tuple[int, bool]:
        n = len(self.entries)
        drop = n - max_entries * 3 // 4 if n >= max_entries else 0
        forced = drop > 0
        if n >= AGREEING:
            bound = min(e[0] >> SOURCE_BITS for e in self.entries[-AGREEING:]) - retention_ms
            if self.entries[0][0] >> SOURCE_BITS < bound - SLACK_MS:
                while drop < n and self.entries[drop][0] >> SOURCE_BITS < bound:
                    drop += 1
        return drop, forced


@dataclass(frozen=True, slots=True)
class _Done:
    logs: Logs

    def result(self) -> Logs:
        return self.logs


class MemoryStore:
    """A `FeatureStore` that lives and dies with the process.

    `clock` gives wall time in seconds and decides only about time to live.
    """

    def __init__(self, clock: Callable[[], float], *, max_entries: int = MAX_ENTRIES) -> None:
        self._clock = clock
        self._max_entries = max_entries
        self._cut_by_size = 0
        self._logs: dict[tuple[str, str, str], _Log] = {}

    def submit(self, request: Request) -> Pending:
        """Applies the request at once."""
        self._cut_by_size = 0
        logs = tuple(self._apply(part) for part in request)
        return _Done(Logs(logs, self._cut_by_size))

    def read(self, layout: EntityLayout, key: str) -> Ints | None:
        """A copy of a log, int64[n, layout.width]; None where there is none (any more)."""
        log = self._logs.get((layout.entity, layout.version, key))
        if log is None or log.expires_at_s <= self._clock():
            return None
        entries: Ints = np.array(log.entries, dtype=np.int64).reshape(-1, layout.width)
        entries.flags.writeable = False
        return entries

    def check(self) -> None:
        """Memory is always there."""

    def close(self) -> None:
        """There is nothing to give back."""

    def _apply(self, part: EntityEntries) -> EntityLogs:
        positions: list[int] = []
        repeated: list[bool] = []
        touched: list[_Log] = []
        read_entries = int(part.counts[: part.n_read].sum())
        rows = iter(part.entries.tolist())
        for key, count in zip(part.keys, part.counts.tolist(), strict=True):
            log = self._log(part.layout, key)
            self._cut(log, part.layout, count)
            for _ in range(count):
                entry = tuple(next(rows))
                place = log.place(entry)
                repeated.append(place is not None)
                if place is None:
                    log.entries.append(entry)
                positions.append(place or len(log.entries))
            touched.append(log)
        positions[read_entries:] = [0] * (len(positions) - read_entries)
        return _entity_logs(touched[: part.n_read], part.layout.width, positions, repeated)

    def _log(self, layout: EntityLayout, key: str) -> _Log:
        now, name = self._clock(), (layout.entity, layout.version, key)
        log = self._logs.get(name)
        if log is None or log.expires_at_s <= now:
            log = self._logs[name] = _Log()
        log.expires_at_s = now + layout.ttl_ms / 1000
        return log

    def _cut(self, log: _Log, layout: EntityLayout, count: int) -> None:
        stood = len(log.entries)
        if stood // CHECK_EVERY == (stood + count) // CHECK_EVERY:
            return
        drop, forced = log.excess(layout.retention_ms, self._max_entries)
        self._cut_by_size += forced
        del log.entries[:drop]


def _entity_logs(
    logs: list[_Log], width: int, positions: list[int], repeated: list[bool]
) -> EntityLogs:
    lengths: Ints = np.array([len(log.entries) for log in logs], dtype=np.int64)
    flat = [word for log in logs for entry in log.entries for word in entry]
    words = np.array(flat, dtype=np.int64)
    words.flags.writeable = False
    return EntityLogs(
        words=words,
        starts=width * (np.cumsum(lengths) - lengths),
        lengths=lengths,
        positions=np.array(positions, dtype=np.int64),
        repeated=np.array(repeated, dtype=np.bool_),
    )
