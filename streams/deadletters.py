"""Where records go that cannot be processed: with their bytes, their place, and the reason."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from streams.records import DeadLetter
from streams.rejection import ATTEMPT_HEADER, Rejected
from streams.transport.batch import Headers, KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries

REASON_HEADER = "headrace-reason"
STAGE_HEADER = "headrace-stage"
VALUE_BYTES_HEADER = "headrace-value-bytes"
KEY_BYTES_HEADER = "headrace-key-bytes"
DROPPED_HEADERS_HEADER = "headrace-dropped-headers"
OWN_HEADERS = frozenset(
    (
        REASON_HEADER,
        STAGE_HEADER,
        VALUE_BYTES_HEADER,
        KEY_BYTES_HEADER,
        DROPPED_HEADERS_HEADER,
        ATTEMPT_HEADER,
    )
)

# Base64 makes 3 bytes 4, and a topic takes 1,048,588 bytes unless told otherwise: the largest
# dead letter is 699,051 (value) + 65,536 (key) + 65,536 (headers) + a few hundred bytes.
MAX_VALUE_BYTES = 524_288
MAX_KEY_BYTES = 65_536
MAX_HEADER_BYTES = 65_536

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class DeadLetterMessage:
    """A dead letter as it goes to its topic."""

    key: bytes | None
    value: bytes
    headers: Headers


def dead_letter(rejected: Rejected, failed_at_ms: int) -> DeadLetterMessage:
    """The dead letter of a rejected record, never larger than a topic's default limit.

    A value longer than `MAX_VALUE_BYTES`, or a key longer than `MAX_KEY_BYTES`, is cut, and the
    header `headrace-value-bytes` or `headrace-key-bytes` then holds its true length. Original
    headers are kept in order up to `MAX_HEADER_BYTES`; `headrace-dropped-headers` counts the rest.
    """
    record = rejected.record
    value, key = record.value(), record.key()
    headers, dropped = _kept_headers(record)
    headers.append((REASON_HEADER, rejected.reason.encode()))
    headers.append((STAGE_HEADER, rejected.stage.encode()))
    if value is not None and len(value) > MAX_VALUE_BYTES:
        headers.append((VALUE_BYTES_HEADER, b"%d" % len(value)))
        value = value[:MAX_VALUE_BYTES]
    if key is not None and len(key) > MAX_KEY_BYTES:
        headers.append((KEY_BYTES_HEADER, b"%d" % len(key)))
        key = key[:MAX_KEY_BYTES]
    if dropped:
        headers.append((DROPPED_HEADERS_HEADER, b"%d" % dropped))
    letter = DeadLetter(
        stage=rejected.stage,
        reason=rejected.reason,
        message=rejected.message,
        field=rejected.field,
        source_topic=record.topic(),
        source_partition=record.partition(),
        source_offset=record.offset(),
        source_timestamp_ms=record.timestamp()[1],
        failed_at_ms=failed_at_ms,
        value=value,
        attempts=rejected.attempts,
    )
    return DeadLetterMessage(key, _encode(letter), headers)


class DeadLetters:
    """Publishes dead letters to a pipeline's topic, keyed like their records."""

    def __init__(self, topic: str, producer: BatchProducer) -> None:
        self._topic = topic
        self._producer = producer

    def send(self, rejected: Rejected, failed_at_ms: int, deliveries: Deliveries) -> None:
        """Queue the dead letter of one record; its delivery is counted in `deliveries`.

        Raises what `BatchProducer.send` raises.
        """
        letter = dead_letter(rejected, failed_at_ms)
        self._producer.send(
            self._topic,
            key=letter.key,
            value=letter.value,
            headers=letter.headers,
            deliveries=deliveries,
        )


def _kept_headers(record: KafkaRecord) -> tuple[Headers, int]:
    """The record's headers that fit, and how many do not; those of an earlier dead letter go."""
    kept: Headers = []
    room, dropped = MAX_HEADER_BYTES, 0
    for name, content in record.headers() or ():
        if name in OWN_HEADERS:
            continue
        room -= len(name.encode("utf-8", "surrogateescape")) + len(content or b"")
        if room < 0:
            dropped += 1
        else:
            kept.append((name, content))
    return kept, dropped
