"""The tracker offers exactly what a naive replay of the log would."""

import random

import pytest

from streams.transport.batch import MicroBatch, TopicPartition
from streams.transport.offsets import OffsetTracker
from tests.adapters.records import Record


def _batch(spans: dict[int, list[int]]) -> MicroBatch:
    records = [
        Record(b"v", b"k", topic="t", partition=partition, offset=offset)
        for partition, offsets in spans.items()
        for offset in offsets
    ]
    return MicroBatch(records, epoch=1, polled_at=0.0)


def _naive(batches: list[MicroBatch], done: set[int]) -> dict[TopicPartition, int]:
    """Per partition: the offset after the last record before the first unfinished one."""
    log: dict[TopicPartition, list[tuple[int, bool]]] = {}
    for number, batch in enumerate(batches):
        for record in batch.records:
            at = TopicPartition(record.topic(), record.partition())
            log.setdefault(at, []).append((record.offset(), number in done))
    result = {}
    for at, entries in log.items():
        for offset, finished in sorted(entries):
            if not finished:
                break
            result[at] = offset + 1
    return result


@pytest.mark.parametrize("seed", range(200))
def test_committable_is_the_contiguous_prefix_of_finished_batches(seed: int) -> None:
    print(f"seed {seed}")
    rng = random.Random(seed)
    tracker = OffsetTracker()
    batches: list[MicroBatch] = []
    open_batches: list[int] = []
    position = dict.fromkeys(range(rng.randint(1, 5)), 0)
    done: set[int] = set()
    for _ in range(rng.randint(1, 60)):
        if open_batches and rng.random() < 0.5:
            number = open_batches.pop(rng.randrange(len(open_batches)))
            assert tracker.finish(batches[number])
            done.add(number)
        else:
            spans = {}
            for partition in rng.sample(sorted(position), rng.randint(1, len(position))):
                offsets = []
                for _ in range(rng.randint(1, 4)):
                    position[partition] += rng.choice((1, 1, 1, 2, 7))
                    offsets.append(position[partition])
                spans[partition] = offsets
            batches.append(_batch(spans))
            tracker.register(batches[-1])
            open_batches.append(len(batches) - 1)
        assert tracker.committable() == _naive(batches, done)
        assert tracker.in_flight == len(open_batches)
        assert tracker.oldest is (batches[min(open_batches)] if open_batches else None)


def test_a_confirmed_commit_is_forgotten_but_newer_progress_stays() -> None:
    tracker = OffsetTracker()
    first, second = _batch({0: [0, 1]}), _batch({0: [2]})
    tracker.register(first)
    tracker.register(second)
    tracker.finish(first)
    sent = tracker.committable()
    tracker.finish(second)
    tracker.committed(sent)
    assert tracker.committable() == {TopicPartition("t", 0): 3}
    tracker.committed(tracker.committable())
    assert tracker.committable() == {}


def test_what_finishes_after_its_assignment_ended_is_never_committed() -> None:
    tracker = OffsetTracker()
    batch = _batch({0: [5]})
    tracker.register(batch)
    tracker.reset()
    assert not tracker.finish(batch)
    assert tracker.committable() == {}
