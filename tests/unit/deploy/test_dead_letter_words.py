"""What a record holds is shown whole, and never reaches a terminal raw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.cli.dead_letter_words import body_lines, key_text, letter_lines, moment_text
from streams.deadletters import dead_letter
from streams.dlq import SetAside
from streams.rejection import Rejected
from tests.adapters.records import Record


@given(st.binary(max_size=300))
def test_bytes_come_out_as_text_or_hex_and_can_be_read_back(value: bytes) -> None:
    lines = body_lines(value)
    assert all(line.replace("\t", " ").isprintable() for line in lines)
    if "\n".join(lines).encode() != value:
        shown = "".join(line[10 : 10 + 3 * 16] for line in lines)
        assert bytes.fromhex(shown) == value


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (None, "(none)"),
        (b"c1", "c1"),
        ("käse".encode(), "käse"),
        (b"\x1b[2Jx", "\\x1b[2Jx"),
        (b"\xff", "\\xff"),
        ("\u202eevil".encode(), "\\u202eevil"),
    ],
)
def test_a_key_cannot_drive_the_terminal(key: bytes | None, text: str) -> None:
    assert key_text(key) == text


def test_a_letter_is_shown_whole() -> None:
    record = Record(
        b'{"amount": "much"}',
        b"c1",
        partition=3,
        offset=17,
        timestamp_ms=1_790_000_000_000,
        headers=[("traceparent", b"00-1"), ("odd", b"\x00")],
    )
    rejected = Rejected(record, "decode", "wrong_type", "Expected `float`\x1b[0m", "amount")
    message = dead_letter(rejected, failed_at_ms=1_790_000_001_000)
    found = SetAside.of(
        Record(message.value, message.key, partition=1, offset=9, headers=message.headers)
    )
    assert found is not None
    assert letter_lines(found) == [
        "position  1:9",
        "failed    2026-09-21 14:13:21 UTC, attempt 1",
        "stage     decode",
        "reason    wrong_type",
        "field     amount",
        "message   Expected `float`\\x1b[0m",
        "source    fraud.events/3/17",
        "sent      2026-09-21 14:13:20 UTC",
        "origin    fraud.events/3/17",
        "key       c1",
        "value     18 bytes",
        "header    traceparent: 00-1",
        "header    odd: \\x00",
        "",
        '{"amount": "much"}',
    ]


def test_a_time_beyond_the_calendar_is_shown_as_it_is() -> None:
    assert moment_text(10**18) == f"{10**18} ms"
