"""Reading dead letters back: which there are, which to send again, and the sending.

A record that fails again becomes a second dead letter of the same origin, the place where the
record first stood. Only the latest attempt of an origin counts; earlier ones are superseded, so
that replaying twice does not double what is replayed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import msgspec

from streams.deadletters import (
    DROPPED_HEADERS_HEADER,
    KEY_BYTES_HEADER,
    OWN_HEADERS,
    VALUE_BYTES_HEADER,
)
from streams.errors import SelectionTooLarge
from streams.pipeline import Pipeline
from streams.records import DeadLetter
from streams.rejection import ATTEMPT_HEADER
from streams.transport.batch import Headers, KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import end_offsets, offsets_at, start_offsets, topic_partitions

ORIGIN_HEADER = "headrace-origin"

MAX_ORIGINS = 1_000_000
MAX_HELD_BYTES = 256 * 1_048_576
PAGE_RECORDS = 500
# What a held dead letter takes beside its value, key and headers, rounded up.
_LETTER_BYTES = 1_024
_CLOCK_SKEW_MS = 300_000
_CUTS = {
    VALUE_BYTES_HEADER: "its value was cut",
    KEY_BYTES_HEADER: "its key was cut",
    DROPPED_HEADERS_HEADER: "headers were dropped",
}

_decode = msgspec.json.Decoder(DeadLetter).decode


@dataclass(frozen=True, slots=True)
class SetAside:
    """One dead letter as it stands in its topic.

    Attributes
    ----------
    partition, offset:
        Its own position in the dead letter topic.
    key, headers:
        Those of the original record.
    cut:
        What of the original record it lacks, for people; empty when it is whole.
    origin:
        Where the record stood before any replay: `topic/partition/offset`.
    value_bytes:
        True size of the original value.
    """

    partition: int
    offset: int
    letter: DeadLetter
    key: bytes | None
    headers: Headers
    cut: tuple[str, ...]
    origin: str
    value_bytes: int

    @property
    def source(self) -> tuple[str, int, int]:
        """Topic, partition and offset of the record that failed; sorts into replay order."""
        letter = self.letter
        return letter.source_topic, letter.source_partition, letter.source_offset

    @classmethod
    def of(cls, record: KafkaRecord) -> SetAside | None:
        """The dead letter that a record is, or `None` when it is none."""
        try:
            letter = _decode(record.value() or b"")
        except (ValueError, RecursionError):
            return None
        headers = record.headers() or []
        said = dict(headers)
        stated = said.get(VALUE_BYTES_HEADER) or b""
        source = f"{letter.source_topic}/{letter.source_partition}/{letter.source_offset}"
        return cls(
            partition=record.partition(),
            offset=record.offset(),
            letter=letter,
            key=record.key(),
            headers=[h for h in headers if h[0] not in OWN_HEADERS and h[0] != ORIGIN_HEADER],
            cut=tuple(text for name, text in _CUTS.items() if name in said),
            origin=(said.get(ORIGIN_HEADER) or source.encode()).decode(errors="backslashreplace"),
            value_bytes=int(stated) if stated.isdigit() else len(letter.value or b""),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters; what is `None` or empty excludes nothing.

    Attributes
    ----------
    since_ms, until_ms:
        Wall-clock times of the failure: from the first, before the second.
    key:
        Of the original record, exactly.
    positions:
        `(partition, offset)` in the dead letter topic.
    """

    stage: str | None = None
    reason: str | None = None
    source_topic: str | None = None
    since_ms: int | None = None
    until_ms: int | None = None
    key: bytes | None = None
    positions: frozenset[tuple[int, int]] = frozenset()

    def matches(self, found: SetAside) -> bool:
        """Whether the dead letter is wanted."""
        letter = found.letter
        return (
            self.stage in (None, letter.stage)
            and self.reason in (None, letter.reason)
            and self.source_topic in (None, letter.source_topic)
            and (self.since_ms is None or letter.failed_at_ms >= self.since_ms)
            and (self.until_ms is None or letter.failed_at_ms < self.until_ms)
            and self.key in (None, found.key)
            and (not self.positions or (found.partition, found.offset) in self.positions)
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """The dead letters that were wanted, in the order of their sources.

    Attributes
    ----------
    superseded:
        Wanted ones that were left out because the same record failed again later.
    unreadable:
        Records of the topic that are no dead letters.
    """

    letters: Sequence[SetAside]
    superseded: int
    unreadable: int


def read_letters(
    settings: TransportSettings, topic: str, *, since_ms: int | None = None
) -> Iterator[KafkaRecord]:
    """Every record of a dead letter topic; with `since_ms` at least those that failed since.

    Raises what `read_topic` raises.
    """
    start = None
    if since_ms is not None:
        partitions = topic_partitions(settings, topic)
        found = offsets_at(settings, partitions, max(since_ms - _CLOCK_SKEW_MS, 0))
        start = {at.partition: offset for at, offset in found.items()}
    for batch in read_topic(settings, topic, start=start):
        yield from batch


def read_letter(
    settings: TransportSettings, topic: str, partition: int, offset: int
) -> KafkaRecord | None:
    """The record at one position, or `None` when the topic does not hold it (any more).

    Raises what `read_topic` raises.
    """
    partitions = topic_partitions(settings, topic)
    start = {at.partition: end for at, end in end_offsets(settings, partitions).items()}
    begins = {at.partition: begin for at, begin in start_offsets(settings, partitions).items()}
    if not begins.get(partition, offset + 1) <= offset < start.get(partition, 0):
        return None
    start[partition] = offset
    for batch in read_topic(settings, topic, start=start, batch_records=1):
        for record in batch:
            if record.partition() == partition:
                return record if record.offset() == offset else None
    return None


def select(
    records: Iterable[KafkaRecord],
    wanted: Wanted,
    *,
    keep_values: bool,
    max_origins: int = MAX_ORIGINS,
    max_held_bytes: int = MAX_HELD_BYTES,
) -> Selection:
    """The latest attempt of every record, where it is wanted.

    A letter superseded by one that is not wanted is left out as well. Without `keep_values` the
    letters' values are `None`, which takes less memory.

    Raises `SelectionTooLarge` beyond `max_origins` different records read or `max_held_bytes`.
    """
    latest: dict[str, tuple[int, int, int, int]] = {}
    held: dict[str, SetAside] = {}
    held_bytes = superseded = unreadable = 0
    for record in records:
        if (found := SetAside.of(record)) is None:
            unreadable += 1
            continue
        is_wanted = wanted.matches(found)
        letter = found.letter
        rank = (letter.attempts, letter.failed_at_ms, found.partition, found.offset)
        if rank < latest.get(found.origin, rank):
            superseded += is_wanted
            continue
        latest[found.origin] = rank
        if (old := held.pop(found.origin, None)) is not None:
            superseded += 1
            held_bytes -= _held_bytes(old)
        if is_wanted:
            held[found.origin] = kept = found if keep_values else _without_value(found)
            held_bytes += _held_bytes(kept)
        _check_size(len(latest), max_origins, held_bytes, max_held_bytes)
    letters = sorted(held.values(), key=lambda found: found.source)
    return Selection(letters, superseded, unreadable)


@dataclass(frozen=True, slots=True)
class Resending:
    """What a replay does: the letters that it sends, and those that it cannot, with the reason."""

    sent: Sequence[SetAside]
    skipped: Sequence[tuple[SetAside, str]]


def plan_replay(pipeline: Pipeline, letters: Iterable[SetAside]) -> Resending:
    """Part the letters into those that can be sent again as they were and those that cannot."""
    inputs = {pipeline.topic(kind) for kind in ("events", "labels", "predictions")}
    sent: list[SetAside] = []
    skipped: list[tuple[SetAside, str]] = []
    for found in letters:
        if found.cut:
            skipped.append((found, ", ".join(found.cut)))
        elif found.letter.source_topic not in inputs:
            skipped.append((found, "its source is no topic that this pipeline reads"))
        else:
            sent.append(found)
    return Resending(sent, skipped)


def resend(letters: Sequence[SetAside], producer: BatchProducer, *, deadline_s: float) -> None:
    """Send the original records to their source topics, in the letters' order.

    The key decides the partition, so that the records of a key keep their order. Each is numbered
    as the attempt that it is and carries its origin. Returns when the broker has all of them.

    Raises the first `StreamError` of a delivery, or `BrokerUnavailable` when a page of 500 is not
    confirmed within `deadline_s`; what was sent before stays sent.
    """
    pending = iter(letters)
    while page := list(islice(pending, PAGE_RECORDS)):
        deliveries = Deliveries(producer)
        for found in page:
            producer.send(
                found.letter.source_topic,
                key=found.key,
                value=found.letter.value,
                headers=resent_headers(found),
                deliveries=deliveries,
            )
        deliveries.wait(deadline_s)


def resent_headers(found: SetAside) -> Headers:
    """The original headers, the number of the attempt that now begins, and the origin."""
    attempt = (ATTEMPT_HEADER, b"%d" % (found.letter.attempts + 1))
    return [*found.headers, attempt, (ORIGIN_HEADER, found.origin.encode())]


def _without_value(found: SetAside) -> SetAside:
    return replace(found, letter=msgspec.structs.replace(found.letter, value=None), headers=[])


def _held_bytes(found: SetAside) -> int:
    headers = sum(len(name) + len(content or b"") for name, content in found.headers)
    return _LETTER_BYTES + len(found.letter.value or b"") + len(found.key or b"") + headers


def _check_size(origins: int, max_origins: int, held_bytes: int, max_held_bytes: int) -> None:
    if origins > max_origins:
        raise SelectionTooLarge(
            f"more than {max_origins:,} records stand in the dead letters: read fewer, with --since"
        )
    if held_bytes > max_held_bytes:
        raise SelectionTooLarge(
            f"the chosen dead letters take more than {max_held_bytes // 1_048_576} MiB: "
            "choose fewer, with --since and --until, --reason or --source-topic"
        )
