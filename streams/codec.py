"""From a topic's bytes to validated records and columns, a whole micro-batch at a time.

The record type of the pipeline is the validation: msgspec checks types and `Meta` limits while it
parses. A record that is exactly as promised takes one pass; what that pass refuses is looked at
again, slowly, to be accepted with a flag or rejected with a reason. A bad record never costs its
neighbours anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, FeatureSet, days
from featurizers.facts import Facts
from streams.columns import Columns, unknown_version
from streams.errors import DecodeError
from streams.event_clock import EventClock
from streams.pipeline import EventSchema
from streams.rejection import DECODE, Rejected, refusal
from streams.transport.batch import KafkaRecord

EXTRA_FIELDS = "extra_fields"
FUTURE = "future"
PAST = "past"

AHEAD_MS = days(7)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record may measure, and how far ahead of the clock its event time may be.

    The clock is the later of the wall clock and the record's own Kafka timestamp.
    """

    value_bytes: int = 262_144
    key_bytes: int = 1_024
    future_ms: int = days(1)
    skew_ms: int = 300_000
    """An event this much ahead of the clock is accepted without a flag."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """One topic's part of a micro-batch, in polled order; every record is in `kept` or `rejected`.

    Attributes
    ----------
    rows, kept, ids, keys:
        The n accepted records: decoded, as they came, and their ids and keys as text.
    facts:
        The same n as columns.
    flags:
        Row -> what is odd about it (`extra_fields`, `future`, `past`); rows without are absent.
    """

    rows: Sequence[Any]
    kept: Sequence[KafkaRecord]
    ids: Sequence[str]
    keys: Sequence[str]
    facts: Facts
    flags: dict[int, tuple[str, ...]] = field(default_factory=dict)
    rejected: Sequence[Rejected] = ()


class RecordDecoder:
    """Decodes and validates the records of one source of a pipeline. Used by one thread.

    Keeps one event clock per partition, for the flags `past` and `future`.

    Raises `PipelineError` when id, key or an entity's key are no texts or the time no integer.
    """

    def __init__(
        self, schema: EventSchema, features: FeatureSet, source: str, limits: Limits | None = None
    ) -> None:
        self._schema = schema
        self._source = source
        self._limits = limits or Limits()
        self._columns = Columns(schema, features, source)
        strict = msgspec.defstruct(
            schema.record.__name__, [], bases=(schema.record,), forbid_unknown_fields=True
        )
        self._strict: Callable[[bytes], Any] = msgspec.json.Decoder(strict).decode
        self._lenient: Callable[[bytes], Any] = msgspec.json.Decoder(schema.record).decode
        self._behind_ms = max(
            (features.retention_ms(entity) for entity in features.entities),
            default=features.allowed_lateness_ms,
        )
        self._clocks: dict[int, EventClock] = {}

    def decode(self, records: Sequence[KafkaRecord], now_ms: int) -> Decoded:
        """Decode `records`, all of this source's topic; raises nothing for whatever they hold.

        `now_ms` is the wall clock.
        """
        rows: list[Any] = []
        kept: list[KafkaRecord] = []
        rejected: list[Rejected] = []
        flags: dict[int, tuple[str, ...]] = {}
        strict, limit = self._strict, self._limits.value_bytes
        for record in records:
            value = record.value()
            try:
                if not value or len(value) > limit:
                    raise _unfit(value, limit)
                row = strict(value)
            except DecodeError as error:
                rejected.append(_rejected(record, error))
                continue
            except (ValueError, RecursionError):
                try:
                    row = self._again(value or b"")
                except DecodeError as error:
                    rejected.append(_rejected(record, error))
                    continue
                flags[len(rows)] = (EXTRA_FIELDS,)
            rows.append(row)
            kept.append(record)
        return self._checked(rows, kept, flags, rejected, now_ms)

    def forget(self) -> None:
        """Forget where the partitions stood; called when their assignment ends."""
        self._clocks.clear()

    def _again(self, value: bytes) -> Any:
        """Accept a record that merely has more fields than its type, or say what is wrong."""
        row, refused = None, None
        try:
            row = self._lenient(value)
        except (ValueError, RecursionError) as error:
            refused = refusal(error, value)
        version = _version(value)
        if version is not None and version not in self._schema.versions:
            raise unknown_version(version, self._schema)
        if refused is not None:
            raise refused
        return row

    def _checked(
        self,
        rows: list[Any],
        kept: list[KafkaRecord],
        flags: dict[int, tuple[str, ...]],
        rejected: list[Rejected],
        now_ms: int,
    ) -> Decoded:
        columns = self._columns.of(rows)
        faults = dict(self._key_faults(kept, columns.keys))
        faults |= {row: error for row, error in columns.faults.items() if row not in faults}
        faults |= self._far_future(kept, columns.facts.times_ms, now_ms, faults)
        if faults:
            rejected.extend(_rejected(kept[row], faults[row]) for row in sorted(faults))
            good = [row for row in range(len(rows)) if row not in faults]
            flags = {new: flags[old] for new, old in enumerate(good) if old in flags}
            rows, kept = [rows[row] for row in good], [kept[row] for row in good]
            columns = self._columns.of(rows)
        if self._source == EVENTS and rows:
            self._flag_times(kept, columns.facts.times_ms, now_ms, flags)
        return Decoded(rows, kept, columns.ids, columns.keys, columns.facts, flags, rejected)

    def _key_faults(
        self, kept: Sequence[KafkaRecord], keys: Sequence[str]
    ) -> Iterable[tuple[int, DecodeError]]:
        limit = self._limits.key_bytes
        for row, (record, text) in enumerate(zip(kept, keys, strict=True)):
            key = record.key()
            if not key or key != text.encode() or len(key) > limit:
                yield row, self._key_fault(key)

    def _key_fault(self, key: bytes | None) -> DecodeError:
        name = self._schema.key
        if key is None:
            return DecodeError(DECODE, "missing_key", f"the record has no key; send {name} as key")
        if not key:
            return DecodeError(DECODE, "empty_key", f"the key has no bytes; send {name} as key")
        if len(key) > self._limits.key_bytes:
            message = f"the key has {len(key)} bytes, the limit is {self._limits.key_bytes}"
            return DecodeError(DECODE, "key_too_large", message)
        message = f"the key {key[:64]!r} is not the record's {name}"
        return DecodeError(DECODE, "key_mismatch", message, name)

    def _far_future(
        self,
        kept: Sequence[KafkaRecord],
        times_ms: NDArray[np.int64],
        now_ms: int,
        faults: dict[int, DecodeError],
    ) -> dict[int, DecodeError]:
        limit_ms = self._limits.future_ms
        found: dict[int, DecodeError] = {}
        for row in np.flatnonzero(times_ms > now_ms + limit_ms).tolist():
            ahead_ms = int(times_ms[row]) - max(now_ms, kept[row].timestamp()[1])
            if ahead_ms > limit_ms and row not in faults:
                message = f"the event time is {ahead_ms / 3_600_000:.1f} h ahead of the clock"
                name = self._schema.time
                found[row] = DecodeError(DECODE, "time_far_future", message, name)
        return found

    def _flag_times(
        self,
        kept: Sequence[KafkaRecord],
        times_ms: NDArray[np.int64],
        now_ms: int,
        flags: dict[int, tuple[str, ...]],
    ) -> None:
        partitions = np.fromiter((r.partition() for r in kept), np.int64, len(kept))
        future = times_ms > now_ms + self._limits.skew_ms
        past = np.zeros(len(kept), dtype=np.bool_)
        for partition in np.unique(partitions).tolist():
            clock = self._clocks.get(partition)
            if clock is None:
                clock = self._clocks[partition] = EventClock(AHEAD_MS, self._behind_ms)
            rows = np.flatnonzero(partitions == partition)
            ahead, behind = clock.mark(times_ms[rows])
            future[rows] |= ahead
            past[rows] |= behind
        for name, mask in ((FUTURE, future), (PAST, past)):
            for row in np.flatnonzero(mask).tolist():
                flags[row] = (*flags.get(row, ()), name)


class _Versioned(msgspec.Struct):
    schema_version: Any = None


_decode_version = msgspec.json.Decoder(_Versioned).decode


def _version(value: bytes) -> int | None:
    """The `schema_version` that a record states, `None` where it states none that can be read."""
    try:
        version = _decode_version(value).schema_version
    except (ValueError, RecursionError):
        return None
    return version if type(version) is int else None


def _unfit(value: bytes | None, limit: int) -> DecodeError:
    if value is None:
        return DecodeError(DECODE, "tombstone", "the record has no value")
    if not value:
        return DecodeError(DECODE, "empty_value", "the value has no bytes")
    return DecodeError(
        DECODE, "too_large", f"the value has {len(value)} bytes, the limit is {limit}"
    )


def _rejected(record: KafkaRecord, error: DecodeError) -> Rejected:
    return Rejected(record, DECODE, error.reason, error.message, error.field)
