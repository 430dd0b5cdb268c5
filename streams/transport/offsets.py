"""Which offsets may be committed: the contiguous prefix of finished batches, per partition."""

from collections import deque

from streams.transport.batch import MicroBatch, TopicPartition


class _Span:
    """The part of one batch that lies in one partition."""

    __slots__ = ("done", "next_offset")

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        self.done = False


class OffsetTracker:
    """Never offers an offset for commit while a record before it is unfinished.

    Batches are registered in the order in which they were polled and may finish in any
    order. Offsets within a partition may have holes (compaction, transaction markers): a
    span counts by its end, not by its length. Memory is bounded by the batches in flight.
    """

    def __init__(self) -> None:
        self._spans: dict[TopicPartition, deque[_Span]] = {}
        self._committable: dict[TopicPartition, int] = {}
        self._by_batch: dict[MicroBatch, list[tuple[TopicPartition, _Span]]] = {}

    @property
    def in_flight(self) -> int:
        """Number of batches registered and not finished."""
        return len(self._by_batch)

    @property
    def oldest(self) -> MicroBatch | None:
        """The batch that has been in flight longest, or ``None``."""
        return next(iter(self._by_batch), None)

    def unfinished(self) -> list[MicroBatch]:
        """Every batch in flight, oldest first."""
        return list(self._by_batch)

    def register(self, batch: MicroBatch) -> None:
        """Take note of a polled batch; call in polling order."""
        parts = []
        for at, offsets in batch.positions().items():
            span = _Span(offsets.last + 1)
            self._spans.setdefault(at, deque()).append(span)
            parts.append((at, span))
        self._by_batch[batch] = parts

    def finish(self, batch: MicroBatch) -> bool:
        """Mark a batch as finished; ``False`` when its assignment has ended meanwhile."""
        parts = self._by_batch.pop(batch, None)
        if parts is None:
            return False
        for at, span in parts:
            span.done = True
            self._advance(at)
        return True

    def _advance(self, at: TopicPartition) -> None:
        spans = self._spans.get(at)
        while spans and spans[0].done:
            self._committable[at] = spans.popleft().next_offset

    def committable(self) -> dict[TopicPartition, int]:
        """Next offset to read, per partition that has advanced since its last confirmed commit."""
        return dict(self._committable)

    def committed(self, offsets: dict[TopicPartition, int]) -> None:
        """Forget what the broker has confirmed; newer progress stays."""
        for at, offset in offsets.items():
            if self._committable.get(at) == offset:
                del self._committable[at]

    def reset(self) -> None:
        """Drop everything: the assignment has ended, and with it the right to commit.

        Assignment is eager, so partitions are always given up all at once.
        """
        self._spans.clear()
        self._committable.clear()
        self._by_batch.clear()
