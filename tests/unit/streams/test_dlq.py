"""Only the latest attempt at a record counts, whatever order the letters are read in."""

from __future__ import annotations

import random
from itertools import permutations

import pytest

from streams.deadletters import MAX_VALUE_BYTES, VALUE_BYTES_HEADER, dead_letter
from streams.dlq import (
    ORIGIN_HEADER,
    SetAside,
    Wanted,
    plan_replay,
    resend,
    resent_headers,
    select,
)
from streams.errors import DeliveryFailed, SelectionTooLarge
from streams.pipelines.fraud import PIPELINE
from streams.rejection import ATTEMPT_HEADER, Rejected
from streams.transport.batch import Headers
from tests.adapters.producer import MemoryProducer
from tests.adapters.records import Record

DEAD = PIPELINE.topic("deadletters")


def failed(
    record: Record, at: tuple[int, int], *, reason: str = "not_json", failed_at_ms: int = 1
) -> Record:
    """The record's dead letter, as it is read back from one position."""
    rejected = Rejected(record, "decode", reason, "said why", "amount")
    message = dead_letter(rejected, failed_at_ms)
    headers = message.headers
    return Record(
        message.value, message.key, topic=DEAD, partition=at[0], offset=at[1], headers=headers
    )


def source(
    offset: int,
    *,
    value: bytes | None = b"{",
    key: bytes | None = b"c1",
    topic: str = "fraud.events",
    headers: Headers | None = None,
) -> Record:
    return Record(value, key, topic=topic, partition=2, offset=offset, headers=headers)


def read(record: Record) -> SetAside:
    found = SetAside.of(record)
    assert found is not None
    return found


def sent_again(record: Record, offset: int) -> Record:
    """The record that a replay of a dead letter puts at the end of its source topic."""
    found = read(record)
    return source(offset, value=found.letter.value, headers=resent_headers(found))


def test_the_latest_attempt_of_a_record_is_chosen_in_any_order_of_reading() -> None:
    first = failed(source(7), (0, 0))
    second = failed(sent_again(first, 50), (0, 1), failed_at_ms=2)
    third = failed(sent_again(second, 90), (1, 0), failed_at_ms=3, reason="missing_field")
    other = failed(source(8, value=b"other"), (0, 2))
    repeated = failed(source(8, value=b"other"), (0, 3), failed_at_ms=2)

    for order in permutations((first, second, third, other, repeated)):
        selection = select(order, Wanted(), keep_values=True)
        found = [(f.origin, f.letter.attempts, f.offset) for f in selection.letters]
        assert found == [("fraud.events/2/8", 1, 3), ("fraud.events/2/7", 3, 0)]
        assert (selection.superseded, selection.unreadable) == (3, 0)

        by_old_reason = select(order, Wanted(reason="not_json"), keep_values=True)
        assert [f.origin for f in by_old_reason.letters] == ["fraud.events/2/8"]
        assert by_old_reason.superseded == 3


def test_replaying_again_and_again_does_not_multiply() -> None:
    letters = [failed(source(offset), (0, offset)) for offset in range(3)]
    end = 3
    for attempt in range(2, 6):
        producer = MemoryProducer()
        plan = plan_replay(PIPELINE, select(letters, Wanted(), keep_values=True).letters)
        resend(plan.sent, producer, deadline_s=1)
        assert [dict(s.headers or ())[ATTEMPT_HEADER] for s in producer.sent] == [
            b"%d" % attempt
        ] * 3
        for sent in producer.sent:
            again = source(end, value=sent.value, headers=sent.headers)
            letters.append(failed(again, (0, end), failed_at_ms=end))
            end += 1


def test_a_record_is_sent_as_it_was_in_the_order_of_its_source() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    sources = [
        source(
            n, value=None if n == 3 else b"\xff%d" % n, key=b"k%d" % (n % 4), headers=[("a", b"1")]
        )
        for n in range(1_200)
    ]
    letters = [failed(record, (n % 4, n)) for n, record in enumerate(sources)]
    random.Random(seed).shuffle(letters)
    producer = MemoryProducer()

    resend(select(letters, Wanted(), keep_values=True).letters, producer, deadline_s=1)

    assert [(s.topic, s.key, s.value) for s in producer.sent] == [
        (record.topic(), record.key(), record.value()) for record in sources
    ]
    assert producer.sent[5].headers == [
        ("a", b"1"),
        (ATTEMPT_HEADER, b"2"),
        (ORIGIN_HEADER, b"fraud.events/2/5"),
    ]


def test_a_delivery_that_fails_is_an_error() -> None:
    letters = [read(failed(source(n), (0, n))) for n in range(3)]
    producer = MemoryProducer(fail_at=1, error=DeliveryFailed("the disk is full"))
    with pytest.raises(DeliveryFailed, match="disk is full"):
        resend(letters, producer, deadline_s=1)


def test_what_is_not_whole_or_not_an_input_is_skipped_with_the_reason() -> None:
    long = source(1, value=b"x" * (MAX_VALUE_BYTES + 1))
    many = source(2, headers=[("h", b"x" * 40_000), ("i", b"y" * 40_000)])
    foreign = source(3, topic="payroll")
    outcome = source(4, topic="fraud.outcomes")
    sound = source(5, topic="fraud.labels")
    letters = [failed(r, (0, r.offset())) for r in (long, many, foreign, outcome, sound)]

    selection = select(letters, Wanted(), keep_values=True)
    plan = plan_replay(PIPELINE, selection.letters)

    assert [f.offset for f in plan.sent] == [5]
    no_input = "its source is no topic that this pipeline reads"
    assert {f.offset: why for f, why in plan.skipped} == {
        1: "its value was cut",
        2: "headers were dropped",
        3: no_input,
        4: no_input,
    }
    sizes = {f.offset: f.value_bytes for f in selection.letters}
    assert sizes[1] == MAX_VALUE_BYTES + 1


@pytest.mark.parametrize(
    ("wanted", "offsets"),
    [
        (Wanted(), [1, 2, 3]),
        (Wanted(stage="decode"), [1, 2, 3]),
        (Wanted(stage="score"), []),
        (Wanted(reason="not_json"), [2, 3]),
        (Wanted(source_topic="fraud.labels"), [3]),
        (Wanted(since_ms=20), [2, 3]),
        (Wanted(until_ms=20), [1]),
        (Wanted(since_ms=20, until_ms=30), [2]),
        (Wanted(key=b"c2"), [2]),
        (Wanted(key=b""), []),
        (Wanted(positions=frozenset({(0, 3), (1, 1)})), [3]),
    ],
)
def test_a_filter_chooses(wanted: Wanted, offsets: list[int]) -> None:
    letters = [
        failed(source(1), (0, 1), reason="missing_field", failed_at_ms=10),
        failed(source(2, key=b"c2"), (0, 2), failed_at_ms=20),
        failed(source(3, topic="fraud.labels", key=None), (0, 3), failed_at_ms=30),
    ]
    selection = select(letters, wanted, keep_values=False)
    assert [f.offset for f in selection.letters] == offsets
    assert all(f.letter.value is None and f.value_bytes == 1 for f in selection.letters)


def test_what_is_no_dead_letter_is_counted_and_costs_nothing() -> None:
    strays = [
        Record(value, b"k", topic=DEAD, offset=n) for n, value in enumerate([None, b"", b"{}"])
    ]
    selection = select([*strays, failed(source(1), (0, 9))], Wanted(), keep_values=True)
    assert selection.unreadable == 3
    assert [f.offset for f in selection.letters] == [9]


def test_headers_that_make_no_sense_do_not_stop_the_reading() -> None:
    letter = failed(source(1), (0, 9))
    odd: Headers = [(VALUE_BYTES_HEADER, b"many"), (ORIGIN_HEADER, b"\xff"), ("n", b"")]
    found = read(Record(letter.value(), None, topic=DEAD, headers=odd))
    assert (found.value_bytes, found.origin, found.headers) == (1, "\\xff", [("n", b"")])


def test_what_is_held_is_bounded() -> None:
    letters = [failed(source(n, value=b"x" * 500), (0, n)) for n in range(20)]
    for limits in ({"max_origins": 10}, {"max_held_bytes": 20_000}):
        with pytest.raises(SelectionTooLarge, match="--since"):
            select(letters, Wanted(), keep_values=True, **limits)
    unwanted = Wanted(reason="missing_field")
    assert not select(letters, unwanted, keep_values=True, max_held_bytes=1).letters


def test_what_is_superseded_is_not_held() -> None:
    attempts = [failed(source(1), (0, 0))]
    for n in range(1, 50):
        attempts.append(failed(sent_again(attempts[-1], n), (0, n), failed_at_ms=n))
    selection = select(attempts, Wanted(), keep_values=True, max_held_bytes=5_000)
    assert [f.letter.attempts for f in selection.letters] == [50]
