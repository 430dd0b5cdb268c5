"""What a topic may hold that it should not, and what becomes of it: one table for every test.

Each row is a message to `fraud.events`. `reason` is the dead letter's, or `None` where the record
is accepted; `flags` are those of its prediction then. `NOW_MS` stands for the wall clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

DAY_MS = 86_400_000
NOW_MS = 1_790_000_000_000


@dataclass(frozen=True)
class BadInput:
    """One odd message: its bytes, and the defined result."""

    name: str
    value: bytes | None
    key: bytes | None
    reason: str | None
    field: str | None = None
    flags: tuple[str, ...] = ()


def payment(identity: str, **fields: Any) -> dict[str, Any]:
    """A sound payment of customer `c1`, with some fields other than usual."""
    return {
        "transaction_id": identity,
        "event_time_ms": NOW_MS,
        "customer_id": "c1",
        "terminal_id": "t1",
        "amount": 12.5,
        "schema_version": 1,
        **fields,
    }


def encoded(record: Any) -> bytes:
    """JSON as Python writes it, NaN and infinities included."""
    return json.dumps(record).encode()


def _field(name: str, reason: str | None, field: str | None, **fields: Any) -> BadInput:
    return BadInput(name, encoded(payment(name, **fields)), b"c1", reason, field)


def _raw(name: str, value: bytes | None, reason: str, field: str | None = None) -> BadInput:
    return BadInput(name, value, b"c1", reason, field)


def _key(name: str, key: bytes | None, reason: str, field: str | None = None) -> BadInput:
    return BadInput(name, encoded(payment(name)), key, reason, field)


def _without(name: str, field: str) -> BadInput:
    record = payment(name)
    del record[field]
    return BadInput(name, encoded(record), b"c1", "missing_field", field)


def _amount(name: str, literal: bytes, reason: str) -> BadInput:
    value = encoded(payment(name, amount=77.25)).replace(b"77.25", literal)
    return BadInput(name, value, b"c1", reason, "amount")


_LONG = "x" * 65

BAD_INPUTS = (
    _raw("tombstone", None, "tombstone"),
    _raw("empty value", b"", "empty_value"),
    _raw("only spaces", b"   ", "not_json"),
    _raw("plain text", b"hello", "not_json"),
    _raw("half a document", encoded(payment("half"))[:-9], "not_json"),
    _raw("two documents", encoded(payment("two")) * 2, "not_json"),
    _raw("byte order mark", b"\xef\xbb\xbf" + encoded(payment("bom")), "not_json"),
    _raw("lone surrogate", encoded(payment("\ud800 in an id")), "not_json"),
    _raw("nested deeply", b'{"z":' + b"[" * 50_000 + b"]" * 50_000 + b"}", "not_json"),
    _raw("avro bytes", b"\x00\x00\x00\x00\x07\x02\x31\xff\xfe", "not_utf8"),
    _raw("latin-1 text", encoded(payment("latin")).replace(b"t1", b"t\xe9"), "not_utf8"),
    _raw("array", b"[]", "wrong_type"),
    _raw("null", b"null", "wrong_type"),
    _raw("number", b"42", "wrong_type"),
    _raw("string", b'"payment"', "wrong_type"),
    _raw("too large", encoded(payment("large", note="x" * 300_000)), "too_large"),
    _field("id is a number", "wrong_type", "transaction_id", transaction_id=7),
    _field("amount is text", "wrong_type", "amount", amount="12.50"),
    _field("amount is null", "wrong_type", "amount", amount=None),
    _field("time is text", "wrong_type", "event_time_ms", event_time_ms="2026-01-01"),
    _field("time is a fraction", "wrong_type", "event_time_ms", event_time_ms=1.5),
    _field("time is a bool", "wrong_type", "event_time_ms", event_time_ms=True),
    _field("version is text", "wrong_type", "schema_version", schema_version="one"),
    _without("no id", "transaction_id"),
    _without("no time", "event_time_ms"),
    _without("no customer", "customer_id"),
    _without("no amount", "amount"),
    _field("id is empty", "out_of_range", "transaction_id", transaction_id=""),
    _field("id is long", "out_of_range", "transaction_id", transaction_id=_LONG),
    _field("terminal is long", "out_of_range", "terminal_id", terminal_id=_LONG),
    _field("amount is negative", "out_of_range", "amount", amount=-0.01),
    _field("amount is huge", "out_of_range", "amount", amount=1e10),
    _amount("amount is 1e999", b"1e999", "out_of_range"),
    _amount("amount is NaN", b"NaN", "out_of_range"),
    _amount("amount is Infinity", b"Infinity", "out_of_range"),
    _amount("amount is -Infinity", b"-Infinity", "out_of_range"),
    _field("time is negative", "out_of_range", "event_time_ms", event_time_ms=-1),
    _field("time is in microseconds", "out_of_range", "event_time_ms", event_time_ms=NOW_MS * 1000),
    _field("version 2", "unknown_schema_version", "schema_version", schema_version=2),
    BadInput(
        "version 2 of another shape",
        encoded({"schema_version": 2, "id": "x", "when": 5}),
        b"c1",
        "unknown_schema_version",
        "schema_version",
    ),
    _field("far future", "time_far_future", "event_time_ms", event_time_ms=NOW_MS + 9 * DAY_MS),
    _key("no key", None, "missing_key"),
    _key("empty key", b"", "empty_key"),
    _key("another customer's key", b"c2", "key_mismatch", "customer_id"),
    _key("key is not text", b"\xff\xfe", "key_mismatch", "customer_id"),
    _key("huge key", b"k" * 100_000, "key_too_large"),
)

ODD_BUT_ACCEPTED = (
    BadInput(
        "one more field",
        encoded(payment("extra", note="hello", nested={"a": [1, 2]})),
        b"c1",
        None,
        flags=("extra_fields",),
    ),
    BadInput(
        "a field twice",
        encoded(payment("twice"))[:-1] + b', "amount": 99.0}',
        b"c1",
        None,
    ),
    BadInput("spaces around", b" \n" + encoded(payment("spaces")) + b"\n ", b"c1", None),
    BadInput("amount is a whole number", encoded(payment("whole", amount=12)), b"c1", None),
    BadInput("amount is zero", encoded(payment("zero", amount=0)), b"c1", None),
    BadInput("names in other scripts", encoded(payment("カード\u0000✓")), b"c1", None),
    BadInput(
        "some hours ahead",
        encoded(payment("ahead", event_time_ms=NOW_MS + DAY_MS // 2)),
        b"c1",
        None,
        flags=("future",),
    ),
    BadInput(
        "from another year",
        encoded(payment("past", event_time_ms=NOW_MS - 400 * DAY_MS)),
        b"c1",
        None,
        flags=("past",),
    ),
    BadInput(
        "from 1970",
        encoded(payment("epoch", event_time_ms=0)),
        b"c1",
        None,
        flags=("past",),
    ),
)
