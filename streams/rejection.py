"""Why a record was set aside: the stable reason codes, and how an error becomes one of them."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from typing import Any, NoReturn

import msgspec

from streams.errors import DecodeError
from streams.transport.batch import KafkaRecord

DECODE = "decode"
STAGES = (DECODE, "features", "score", "publish")
ATTEMPT_HEADER = "headrace-attempt"

# A published contract (docs/reference/records.md): codes are added, never renamed.
REASONS = {
    "tombstone": "the record has no value (null)",
    "empty_value": "the value has no bytes",
    "too_large": "the value is longer than the limit",
    "missing_key": "the record has no key",
    "empty_key": "the key has no bytes",
    "key_too_large": "the key is longer than the limit",
    "key_mismatch": "the key is not the key field's text, so the partition may be wrong",
    "not_utf8": "a text is not UTF-8",
    "not_json": "the value is not one JSON document",
    "wrong_type": "a field has another type",
    "missing_field": "a required field is absent, or null where a feature needs it",
    "out_of_range": "a field's value is outside its limits, or not finite",
    "unknown_schema_version": "schema_version is one that this pipeline does not know",
    "time_far_future": "the event time is further ahead of the clock than allowed",
    "invalid": "the record type's own check refused it",
}

_MESSAGE_CHARACTERS = 300
_ATTEMPT = re.compile(rb"[1-9][0-9]{0,8}")
_FIELD = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")
_WRONG_TYPE = re.compile(r"^Expected `[^`]*`, got `|^Invalid value ")
_OUT_OF_RANGE = re.compile(
    r"^Expected `[^`]*` (?:[<>]=? |of length |matching |that's a multiple of )"
    r"|^Number out of range|^Integer value out of range|^Invalid enum value|^Invalid RFC3339"
    r"|^Invalid UUID|^Invalid base64|^Expected `array` of "
)


@dataclass(frozen=True, slots=True)
class Rejected:
    """One record that goes to the dead letters, with what its dead letter will say."""

    record: KafkaRecord
    stage: str
    reason: str
    message: str
    field: str | None = None

    @property
    def attempts(self) -> int:
        """Which attempt at the record failed: 1, or what the replay that sent it again says."""
        return _attempt(self.record)

    @classmethod
    def because(cls, record: KafkaRecord, error: Exception) -> Rejected:
        """Reject `record` for an error of any package.

        The stage and reason are the error's own where it has them; otherwise the stage is that of
        the package whose error it is, and the reason the error's name in snake case.
        """
        if isinstance(error, DecodeError):
            stage, reason, field = DECODE, error.reason, error.field
            return cls(record, stage, reason, error.message, field)
        message = shortened(str(error) or type(error).__name__)
        return cls(record, _stage(error), _snake_case(type(error).__name__), message)


def refusal(error: Exception, value: bytes) -> DecodeError:
    """The `DecodeError` that says in our words why msgspec refused `value`."""
    if isinstance(error, UnicodeError):
        return DecodeError(DECODE, "not_utf8", shortened(str(error)))
    if isinstance(error, msgspec.ValidationError):
        return _invalid(str(error))
    if isinstance(error, RecursionError):
        return DecodeError(DECODE, "not_json", "the document is nested too deeply")
    if (name := _not_finite(value)) is not None:
        message = "NaN and infinities are no JSON numbers and no value of a field"
        return DecodeError(DECODE, "out_of_range", message, name or None)
    try:
        value.decode()
    except UnicodeDecodeError as not_utf8:
        return DecodeError(DECODE, "not_utf8", shortened(str(not_utf8)))
    return DecodeError(DECODE, "not_json", shortened(str(error)))


def shortened(message: str) -> str:
    """The message, cut to what a dead letter may carry, whatever the input put into it."""
    if len(message) <= _MESSAGE_CHARACTERS:
        return message
    return message[: _MESSAGE_CHARACTERS - 3] + "..."


def _attempt(record: KafkaRecord) -> int:
    """The attempt that the record's last such header states; anyone may have written it."""
    stated = [content for name, content in record.headers() or () if name == ATTEMPT_HEADER]
    if stated and _ATTEMPT.fullmatch(stated[-1] or b""):
        return int(stated[-1])
    return 1


def _invalid(message: str) -> DecodeError:
    where = _FIELD.search(message)
    field = where["path"] if where else None
    text = shortened(message)
    if missing := _MISSING.search(message):
        return DecodeError(
            DECODE, "missing_field", text, ".".join(filter(None, (field, missing["name"])))
        )
    reason = "invalid"
    if _OUT_OF_RANGE.search(message):
        reason = "out_of_range"
    elif _WRONG_TYPE.search(message):
        reason = "wrong_type"
    return DecodeError(DECODE, reason, text, shortened(field) if field else None)


class _NotFinite(Exception):
    """Found NaN or an infinity."""


def _not_finite(value: bytes) -> str | None:
    """The field that holds NaN or an infinity, "" where it is not known, `None` where none does."""
    if b"NaN" not in value and b"Infinity" not in value:
        return None

    def found(_: str) -> NoReturn:
        raise _NotFinite

    try:
        document = json.loads(value)
        json.loads(value, parse_constant=found)
    except _NotFinite:
        return _field_not_finite(document)
    except (ValueError, RecursionError):
        return None
    return None


def _field_not_finite(document: Any) -> str:
    if isinstance(document, dict):
        for name, content in document.items():
            if isinstance(content, float) and not math.isfinite(content):
                return shortened(str(name))
    return ""


def _stage(error: Exception) -> str:
    package = type(error).__module__.partition(".")[0]
    return {"featurizers": "features", "inference": "score"}.get(package, "publish")


def _snake_case(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
