"""The lane: one thread that polls, hands batches on, and knows what may be committed."""

import logging
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from streams.errors import NotAssigned, StreamError
from streams.transport.batch import KafkaRecord, MicroBatch, TopicPartition
from streams.transport.group import Change, GroupConsumer
from streams.transport.metrics import TransportMetrics
from streams.transport.offsets import OffsetTracker
from streams.transport.producer import BatchProducer
from streams.transport.settings import TransportSettings

log = logging.getLogger(__name__)

#: A full lane waits this long for acknowledgements before it pauses reading: pausing makes
#: the driver throw away and fetch again what it had read ahead.
_PAUSE_AFTER_S = 0.5
_LAG_EVERY_S = 1.0


class BatchProcessor(Protocol):
    """What is done with the records; in line, on the event loop's thread.

    Every call returns soon: calls to other servers carry deadlines. An error raised carries
    ``retriable: bool``; one that also carries ``fatal = True`` ends the worker.
    """

    def process(self, batch: MicroBatch) -> None:
        """Work through the batch, or start to.

        The batch is finished by ``batch.done()``, here or later (`Deliveries` does it with the
        last delivery report); until then none of its offsets is committed. Work may be held
        back to overlap with the next batch. A failure found later goes to ``batch.fail``.

        A retriable error raised here means that the same batch is offered again after a
        pause; any other, that it is offered again in halves, down to single records.
        """

    def drain(self, deadline_s: float) -> None:
        """Finish, up to the sending, whatever `process` has held back.

        Called when nothing more is waiting, before partitions are given up, and at the end.
        Need not wait for delivery reports; the transport does.
        """

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        """Set one record aside for good; it is safely stored when this returns."""


@dataclass(slots=True)
class Progress:
    """What the watchdog may look at from its own thread; monotonic seconds.

    ``next_offset`` is ``None`` until an assigned partition delivers its first record.
    """

    turned_at: float
    finished_at: float
    waiting: bool = False
    oldest_polled_at: float | None = None
    next_offset: dict[TopicPartition, int | None] = field(default_factory=dict)
    moved_at: dict[TopicPartition, float] = field(default_factory=dict)


class Lane:
    """Owns the flow of one worker: polls, finished batches, commits, rebalances.

    ``turn`` is called over and over by one thread. It never awaits, and stands still for at
    most one poll (``poll_ms``), or for ``drain_ms`` while partitions are given up.
    """

    def __init__(
        self,
        settings: TransportSettings,
        *,
        processor: BatchProcessor,
        producer: BatchProducer,
        metrics: TransportMetrics,
        clock: Callable[[], float] = time.monotonic,
        group: Callable[..., GroupConsumer] = GroupConsumer,
    ) -> None:
        self.settings = settings
        self.processor = processor
        self.producer = producer
        self.metrics = metrics
        self.draining = False
        now = clock()
        self.progress = Progress(turned_at=now, finished_at=now)
        self._clock = clock
        self._group = group(settings, self, clock=clock)
        self._offsets = OffsetTracker()
        self._failed: deque[MicroBatch] = deque()
        self._backlog: deque[MicroBatch] = deque()
        self._held = False
        self._full_since: float | None = None
        self._commit_at = now
        self._lag_at = now

    @property
    def epoch(self) -> int:
        """Number of the current assignment."""
        return self._group.epoch

    @property
    def assigned(self) -> frozenset[TopicPartition]:
        """Partitions owned now."""
        return self._group.assigned

    @property
    def in_flight(self) -> int:
        """Batches handed out and not finished."""
        return self._offsets.in_flight

    def subscribe(self, topics: Sequence[str]) -> None:
        """Join the group for these topics."""
        self._group.subscribe(topics, self._committed)

    def is_current(self, batch: MicroBatch) -> bool:
        """Whether the batch still belongs to this worker."""
        return batch.epoch == self._group.epoch

    def next_change(self) -> Change | None:
        """A change of the assignment not looked at yet, or ``None``."""
        return self._group.changes.popleft() if self._group.changes else None

    def turn(self) -> MicroBatch | None:
        """Serve reports, commit when due, poll; returns a batch to process, or ``None``.

        Raises
        ------
        StreamError
            The worker cannot go on.
        """
        self._serve_timers()
        if self._failed:
            return self._failed.popleft()
        if self._backlog:
            return self._backlog.popleft()
        if self.draining:
            self.serve()
            return None
        if self._is_full():
            return None
        self._group.pause(paused=False)
        batch = self._poll(0.0 if self._held else self.settings.poll_ms / 1000)
        if batch is None and self._held:
            self._release()
        return batch

    def handed_on(self) -> None:
        """The batch of the last turn was processed; the processor may hold some of it back."""
        self._held = self._offsets.in_flight > 0

    def serve(self) -> None:
        """Keep membership and reports alive while nothing may be read."""
        self._serve_timers()
        self._group.pause(paused=True)
        batch = self._poll(self.settings.poll_ms / 1000)
        if batch is not None:
            self._backlog.append(batch)

    def finish(self, deadline_s: float) -> bool:
        """Finish, flush and commit what is in flight; ``False`` when the deadline came first."""
        give_up_at = self._clock() + deadline_s
        offsets = self._settle(deadline_s)
        try:
            self._group.commit_now(offsets, max(give_up_at - self._clock(), 0.5))
        except StreamError as failure:
            log.warning("the last offsets were not committed: %s", failure)
            return False
        return self._offsets.in_flight == 0

    def close(self) -> None:
        """Leave the group. What is unfinished is read again by the next owner."""
        self._group.close()

    def batch_done(self, batch: MicroBatch) -> None:
        """Take note that a batch is finished."""
        now = self._clock()
        if self._offsets.finish(batch):
            self.progress.finished_at = now
            self.metrics.finished(now - batch.polled_at)
        self._show_oldest()

    def batch_failed(self, batch: MicroBatch, error: Exception) -> None:
        """Offer a batch again that failed after ``process`` had returned."""
        if self.is_current(batch) and batch not in self._failed:
            batch.error = error
            self._failed.append(batch)

    def revoking(self) -> dict[TopicPartition, int]:
        """Finish what is in flight, inside the poll that gives the partitions up."""
        return self._settle(self.settings.drain_ms / 1000)

    def ended(self, change: Change) -> None:
        """Begin anew: nothing of the old assignment may be committed any more."""
        unfinished = self._offsets.in_flight
        self._offsets.reset()
        self._failed.clear()
        self._backlog.clear()
        self._held = False
        now = self._clock()
        owned = change.partitions if change.event == "assigned" else frozenset()
        self.progress.next_offset = dict.fromkeys(owned)
        self.progress.moved_at = dict.fromkeys(owned, now)
        self._show_oldest()
        self.metrics.rebalanced(change.event, len(owned))
        if change.event != "assigned":
            self.metrics.forget_lag(change.partitions)
            if unfinished:
                log.warning("%d unfinished batches go back to the topic", unfinished)

    def _settle(self, deadline_s: float) -> dict[TopicPartition, int]:
        if self._offsets.in_flight:
            give_up_at = self._clock() + deadline_s
            self._release()
            left = max(give_up_at - self._clock(), 0.0)
            self.producer.serve_until(self._nothing_pending, left)
        return self._offsets.committable()

    def _nothing_pending(self) -> bool:
        waiting = len(self._failed) + len(self._backlog)
        return self._offsets.in_flight <= waiting or not len(self.producer)

    def _release(self) -> None:
        self._held = False
        try:
            self.processor.drain(self.settings.drain_ms / 1000)
        except Exception as error:  # noqa: BLE001 - decided by the policy for failed batches
            for batch in self._offsets.unfinished():
                batch.fail(error)

    def _poll(self, timeout_s: float) -> MicroBatch | None:
        records = self._group.poll(timeout_s, self.settings.max_poll_records)
        self.metrics.polled(len(records))
        if not records:
            return None
        now = self._clock()
        batch = MicroBatch(records, epoch=self._group.epoch, polled_at=now, listener=self)
        self._offsets.register(batch)
        for at, offsets in batch.positions().items():
            self.progress.next_offset[at] = offsets.last + 1
            self.progress.moved_at[at] = now
        self._show_oldest()
        return batch

    def _is_full(self) -> bool:
        if self._offsets.in_flight < self.settings.max_in_flight:
            self._full_since = None
            return False
        now = self._clock()
        if self._full_since is None:
            self._full_since = now
        if self._held:
            self._release()
        elif now - self._full_since > _PAUSE_AFTER_S:
            self.serve()
        else:
            self.producer.poll(0.002)
        return True

    def _serve_timers(self) -> None:
        now = self._clock()
        self.progress.turned_at = now
        self.producer.poll(0.0)
        if now >= self._commit_at:
            self._commit_at = now + self.settings.commit_interval_ms / 1000
            self._group.commit(self._offsets.committable())
        if now >= self._lag_at:
            self._lag_at = now + _LAG_EVERY_S
            self._observe(now)

    def _observe(self, now: float) -> None:
        self.metrics.observe_lag(self._group.lags())
        self.metrics.observe_flow(
            in_flight=self._offsets.in_flight,
            paused=self._group.paused,
            idle_s=now - self.progress.finished_at,
        )

    def _committed(self, offsets: dict[TopicPartition, int], error: StreamError | None) -> None:
        self.metrics.committed(ok=error is None)
        if error is None:
            self._offsets.committed(offsets)
        elif not isinstance(error, NotAssigned):
            log.warning("%s; committing again in %d ms", error, self.settings.commit_interval_ms)

    def _show_oldest(self) -> None:
        oldest = self._offsets.oldest
        self.progress.oldest_polled_at = None if oldest is None else oldest.polled_at
