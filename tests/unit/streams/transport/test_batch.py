"""A batch knows where its records stand, and tells its owner once what became of it."""

import pytest

from streams.errors import StreamError
from streams.transport.batch import MicroBatch, OffsetRange, TopicPartition
from tests.adapters.records import Record


class Listener:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.done: list[MicroBatch] = []
        self.failed: list[tuple[MicroBatch, Exception]] = []

    def batch_done(self, batch: MicroBatch) -> None:
        self.done.append(batch)

    def batch_failed(self, batch: MicroBatch, error: Exception) -> None:
        self.failed.append((batch, error))


def _batch(listener: Listener, count: int = 5) -> MicroBatch:
    records = [
        Record(b"v", b"k", topic=f"t{i % 2}", partition=i % 2, offset=10 + i) for i in range(count)
    ]
    return MicroBatch(records, epoch=3, polled_at=1.5, listener=listener)


def test_groups_by_topic_and_knows_its_positions() -> None:
    batch = _batch(Listener())
    assert {t: [r.offset() for r in rs] for t, rs in batch.by_topic().items()} == {
        "t0": [10, 12, 14],
        "t1": [11, 13],
    }
    assert batch.positions() == {
        TopicPartition("t0", 0): OffsetRange(10, 14),
        TopicPartition("t1", 1): OffsetRange(11, 13),
    }


def test_is_done_once_and_cannot_fail_afterwards() -> None:
    listener = Listener()
    batch = _batch(listener)
    batch.done()
    batch.done()
    batch.fail(StreamError("late"))
    assert listener.done == [batch]
    assert listener.failed == []


def test_a_split_batch_is_done_when_every_part_of_its_parts_is() -> None:
    listener = Listener()
    whole = _batch(listener)
    left, right = whole.split()
    assert left.records + right.records == whole.records
    assert (left.epoch, left.polled_at) == (3, 1.5)
    right_left, right_right = right.split()
    left.done()
    right_left.done()
    assert not whole.finished
    right_right.done()
    assert listener.done == [whole]


def test_a_failing_part_is_reported_as_itself() -> None:
    listener = Listener()
    left, _ = _batch(listener).split()
    error = StreamError("no")
    left.fail(error)
    assert listener.failed == [(left, error)]


def test_one_record_cannot_be_split() -> None:
    with pytest.raises(StreamError, match="reject"):
        _batch(Listener(), 1).split()
