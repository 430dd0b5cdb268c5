"""A dead letter says why and where, keeps the bytes, and always fits into its topic."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from featurizers.errors import StoreRefused
from inference.errors import InferenceError
from streams.deadletters import (
    DROPPED_HEADERS_HEADER,
    KEY_BYTES_HEADER,
    MAX_VALUE_BYTES,
    REASON_HEADER,
    STAGE_HEADER,
    VALUE_BYTES_HEADER,
    dead_letter,
)
from streams.errors import DecodeError, RecordTooLarge
from streams.records import DeadLetter
from streams.rejection import ATTEMPT_HEADER, Rejected
from tests.adapters.records import Record

TOPIC_LIMIT_BYTES = 1_048_588


def rejected(record: Record) -> Rejected:
    return Rejected(record, "decode", "not_json", "no JSON at all", None)


@given(st.none() | st.binary(max_size=200), st.none() | st.binary(max_size=50))
def test_bytes_key_headers_and_position_survive(value: bytes | None, key: bytes | None) -> None:
    record = Record(
        value,
        key,
        topic="fraud.labels",
        partition=3,
        offset=17,
        timestamp_ms=99,
        headers=[("traceparent", b"00-1"), (REASON_HEADER, b"an earlier one")],
    )

    message = dead_letter(rejected(record), failed_at_ms=123)

    letter = msgspec.json.decode(message.value, type=DeadLetter)
    assert letter.value == value
    assert message.key == key
    assert message.headers == [
        ("traceparent", b"00-1"),
        (REASON_HEADER, b"not_json"),
        (STAGE_HEADER, b"decode"),
    ]
    assert (letter.source_topic, letter.source_partition) == ("fraud.labels", 3)
    assert (letter.source_offset, letter.source_timestamp_ms) == (17, 99)
    assert letter.failed_at_ms == 123


def test_whatever_the_record_measures_the_dead_letter_fits_into_its_topic() -> None:
    headers = [(f"h{i}", b"x" * 30_000) for i in range(5)]
    record = Record(b"\xff" * 1_000_000, b"k" * 900_000, headers=headers)

    message = dead_letter(rejected(record), failed_at_ms=1)

    said = dict(message.headers)
    assert said[VALUE_BYTES_HEADER] == b"1000000"
    assert said[KEY_BYTES_HEADER] == b"900000"
    assert said[DROPPED_HEADERS_HEADER] == b"3"
    letter = msgspec.json.decode(message.value, type=DeadLetter)
    assert letter.value == b"\xff" * MAX_VALUE_BYTES
    size = len(message.value) + len(message.key or b"")
    size += sum(len(name) + len(content) for name, content in message.headers)
    assert size < TOPIC_LIMIT_BYTES


@pytest.mark.parametrize(
    ("error", "stage", "reason", "field"),
    [
        (DecodeError("decode", "wrong_type", "no", "amount"), "decode", "wrong_type", "amount"),
        (StoreRefused("no"), "features", "store_refused", None),
        (InferenceError("no"), "score", "inference_error", None),
        (RecordTooLarge("no"), "publish", "record_too_large", None),
        (ZeroDivisionError("no"), "publish", "zero_division_error", None),
    ],
)
def test_any_error_becomes_a_stage_and_a_reason(
    error: Exception, stage: str, reason: str, field: str | None
) -> None:
    letter = Rejected.because(Record(b"", b""), error)
    assert (letter.stage, letter.reason, letter.field) == (stage, reason, field)
    assert letter.message == "no"


@pytest.mark.parametrize(
    ("stated", "attempts"),
    [([], 1), ([b"3"], 3), ([b"2", b"7"], 7), ([b"-1"], 1), ([b"0"], 1), ([b""], 1), ([b"x9"], 1)],
)
def test_the_attempt_is_the_one_that_the_record_says(stated: list[bytes], attempts: int) -> None:
    record = Record(b"", b"", headers=[(ATTEMPT_HEADER, content) for content in stated])
    message = dead_letter(rejected(record), failed_at_ms=1)
    assert msgspec.json.decode(message.value, type=DeadLetter).attempts == attempts
    assert ATTEMPT_HEADER not in dict(message.headers)
