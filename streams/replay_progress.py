"""What a replay has sent, what of it is confirmed, and how well it kept its schedule."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from streams.timeline import Stretch
from streams.transport.producer import Deliveries

TICK_S = 0.1
_SAVE_S = 1.0


@dataclass(frozen=True, slots=True)
class ReplayTick:
    """Where a replay stands; given to `on_tick` about ten times a second."""

    events_sent: int
    labels_sent: int
    event_time_ms: int
    behind_schedule_ms: float
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class ReplaySummary:
    """What a replay did. Its field names are the keys of `headrace replay --json`."""

    events_sent: int
    labels_sent: int
    duration_s: float
    events_per_s: float
    """Over the time from the first to the last event."""
    behind_schedule_ms_max: float
    """How far the sender itself fell behind; latencies measured meanwhile are too kind."""
    event_time_first_ms: int | None
    event_time_last_ms: int | None
    records_confirmed: int
    """Records of the sequence that the broker has, those of earlier attempts included."""
    finished: bool

    def to_json(self) -> dict[str, int | float | bool | None]:
        """The figures by key."""
        return asdict(self)


class Checkpoint:
    """Remembers in a file how much of a sequence the broker has confirmed.

    What was sent after the last confirmation is sent again by a resumed replay: at least once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self) -> int:
        """Confirmed records, 0 when nothing is remembered."""
        try:
            return int(json.loads(self._path.read_text())["records_confirmed"])
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return 0

    def save(self, records_confirmed: int) -> None:
        """Remember how many; a crash leaves the old file or the new one."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".draft")
        draft.write_text(json.dumps({"records_confirmed": records_confirmed}))
        draft.replace(self._path)


class ReplayProgress:
    """The counts of one replay, and its pages whose delivery is not confirmed yet, in order."""

    def __init__(
        self, checkpoint: Checkpoint | None, skipped: int, clock: Callable[[], float]
    ) -> None:
        self._checkpoint = checkpoint
        self._clock = clock
        self._begun = clock()
        self._open: deque[tuple[int, Deliveries]] = deque()
        self._sent = self._confirmed = skipped
        self._ticked_s = self._saved_s = 0.0
        self._events = self._labels = 0
        self._behind_max_s = 0.0
        self._first_s: float | None = None
        self._last_s = 0.0
        self._first_ms: int | None = None
        self._last_ms: int | None = None
        self._now_ms = 0
        self._save()

    def elapsed_s(self) -> float:
        """Seconds since the replay began."""
        return self._clock() - self._begun

    def sent(self, part: Stretch, behind_s: float) -> None:
        """Count records that were handed to the producer, at worst `behind_s` late."""
        events = int(part.is_event.sum())
        self._labels += len(part) - events
        self._behind_max_s = max(self._behind_max_s, behind_s)
        self._now_ms = int(part.when_ms[-1])
        if events:
            times = part.when_ms[part.is_event]
            self._events += events
            self._first_ms = int(times[0]) if self._first_ms is None else self._first_ms
            self._last_ms = int(times[-1])
            self._last_s = self.elapsed_s()
            self._first_s = self._last_s if self._first_s is None else self._first_s

    def page_ended(self, records: int, deliveries: Deliveries) -> None:
        """A page of so many records was sent; its confirmations are counted in `deliveries`."""
        self._sent += records
        self._open.append((self._sent, deliveries))

    def confirm(self) -> None:
        """Take note of confirmed pages, in order; remember them about once a second.

        Raises the first `StreamError` of a delivery.
        """
        while self._open and self._open[0][1].pending == 0:
            self._settled()
        now_s = self.elapsed_s()
        if now_s - self._saved_s >= _SAVE_S:
            self._saved_s = now_s
            self._save()

    def settle(self, deadline_s: float) -> None:
        """Wait for every confirmation, each page within the deadline.

        Raises the first `StreamError` of a delivery, `BrokerUnavailable` at the deadline.
        """
        while self._open:
            self._open[0][1].wait(deadline_s)
            self._settled()
        self._save()

    def tick(self, behind_s: float) -> ReplayTick | None:
        """Where the replay stands, when it is time to say so again."""
        elapsed_s = self.elapsed_s()
        if elapsed_s - self._ticked_s < TICK_S:
            return None
        self._ticked_s = elapsed_s
        return ReplayTick(self._events, self._labels, self._now_ms, behind_s * 1000, elapsed_s)

    def summary(self, *, finished: bool) -> ReplaySummary:
        """The figures so far."""
        sending_s = self._last_s - (self._first_s or 0.0)
        return ReplaySummary(
            events_sent=self._events,
            labels_sent=self._labels,
            duration_s=round(self.elapsed_s(), 3),
            events_per_s=round(self._events / sending_s, 1) if sending_s > 0 else 0.0,
            behind_schedule_ms_max=round(self._behind_max_s * 1000, 1),
            event_time_first_ms=self._first_ms,
            event_time_last_ms=self._last_ms,
            records_confirmed=self._confirmed,
            finished=finished,
        )

    def _settled(self) -> None:
        end, deliveries = self._open[0]
        if deliveries.error is not None:
            raise deliveries.error
        self._open.popleft()
        self._confirmed = end

    def _save(self) -> None:
        if self._checkpoint is not None:
            self._checkpoint.save(self._confirmed)
