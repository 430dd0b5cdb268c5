"""What the transport hands on: many records at once, whole, over all partitions."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from streams.errors import StreamError

Headers = list[tuple[str, bytes]]


class TopicPartition(NamedTuple):
    """One partition of one topic."""

    topic: str
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class KafkaRecord(Protocol):
    """One consumed record: the methods of ``confluent_kafka.Message``, so nothing is copied."""

    def topic(self) -> str:
        """Topic it was read from."""

    def partition(self) -> int:
        """Partition it was read from."""

    def offset(self) -> int:
        """Position in the partition."""

    def key(self) -> bytes | None:
        """Key, or ``None`` when it has none."""

    def value(self) -> bytes | None:
        """Value, or ``None`` for a tombstone."""

    def headers(self) -> Headers | None:
        """Headers in order, or ``None`` when it has none."""

    def timestamp(self) -> tuple[int, int]:
        """``(type, milliseconds)``: type 1 is set by the producer, 2 by the broker."""


class BatchListener(Protocol):
    """Who is told what became of a batch: the transport, or the batch it was split from."""

    def batch_done(self, batch: "MicroBatch") -> None:
        """Every record of the batch is dealt with; called once."""

    def batch_failed(self, batch: "MicroBatch", error: Exception) -> None:
        """The batch failed after ``process`` had returned; it will be processed again."""


class OffsetRange(NamedTuple):
    """First and last offset, both included, of one partition within a batch."""

    first: int
    last: int


class MicroBatch:
    """Records of one poll, in partition order, under one assignment.

    Owned by whoever processes it until `done` or `fail`. Offsets become committable only
    after `done`, and only together with everything before them in the same partition.

    Parameters
    ----------
    records
        As polled; records of one partition stand in offset order.
    epoch
        Number of the assignment in which they were polled; grows with every rebalance. State
        kept per partition is valid for one epoch only.
    polled_at
        Monotonic time of the poll, seconds.
    listener
        Who is told of `done` and `fail`.
    """

    __slots__ = (
        "_listener",
        "_open_parts",
        "_positions",
        "epoch",
        "error",
        "finished",
        "polled_at",
        "records",
    )

    def __init__(
        self,
        records: Sequence[KafkaRecord],
        *,
        epoch: int,
        polled_at: float,
        listener: BatchListener | None = None,
    ) -> None:
        self.records: list[KafkaRecord] = list(records)
        self.epoch = epoch
        self.polled_at = polled_at
        self.finished = False
        self.error: Exception | None = None
        self._listener = listener
        self._open_parts = 0
        self._positions: dict[TopicPartition, OffsetRange] | None = None

    def __len__(self) -> int:
        return len(self.records)

    def done(self) -> None:
        """Mark every record as dealt with: stored, published and acknowledged.

        Idempotent. Without effect on commits when the assignment has changed meanwhile.
        """
        if self.finished:
            return
        self.finished = True
        if self._listener is not None:
            self._listener.batch_done(self)

    def fail(self, error: Exception) -> None:
        """Report a failure found after ``process`` returned; the batch will be processed again.

        Without effect once the batch is done.
        """
        if not self.finished and self._listener is not None:
            self._listener.batch_failed(self, error)

    def by_topic(self) -> dict[str, list[KafkaRecord]]:
        """Records grouped by topic, each group in polled order."""
        groups: dict[str, list[KafkaRecord]] = {}
        for record in self.records:
            groups.setdefault(record.topic(), []).append(record)
        return groups

    def positions(self) -> dict[TopicPartition, OffsetRange]:
        """First and last offset of every partition that occurs."""
        if self._positions is None:
            first: dict[tuple[str, int], int] = {}
            last: dict[tuple[str, int], int] = {}
            for record in self.records:
                at = (record.topic(), record.partition())
                offset = record.offset()
                if at not in last:
                    first[at] = offset
                last[at] = offset
            self._positions = {
                TopicPartition(*at): OffsetRange(first[at], end) for at, end in last.items()
            }
        return self._positions

    def split(self) -> tuple["MicroBatch", "MicroBatch"]:
        """Two halves in order; this batch is done when both are.

        Raises
        ------
        StreamError
            When it holds fewer than two records.
        """
        if len(self.records) < 2:
            raise StreamError("a batch of one record cannot be split; reject the record instead")
        middle = len(self.records) // 2
        self._open_parts = 2
        part = _Parts(self)
        return self._part(self.records[:middle], part), self._part(self.records[middle:], part)

    def _part(self, records: list[KafkaRecord], listener: "_Parts") -> "MicroBatch":
        return MicroBatch(records, epoch=self.epoch, polled_at=self.polled_at, listener=listener)


class _Parts:
    """Tells a batch about its halves."""

    __slots__ = ("_whole",)

    def __init__(self, whole: MicroBatch) -> None:
        self._whole = whole

    def batch_done(self, batch: MicroBatch) -> None:
        del batch
        self._whole._open_parts -= 1
        if self._whole._open_parts == 0:
            self._whole.done()

    def batch_failed(self, batch: MicroBatch, error: Exception) -> None:
        listener = self._whole._listener
        if listener is not None:
            listener.batch_failed(batch, error)
