"""The records Headrace writes to its topics: their fields are a published, versioned contract.

All times are event or wall-clock times in milliseconds since the epoch, UTC; durations are
milliseconds. Wire format: JSON, one record a message, keyed like the event it comes from.
"""

from __future__ import annotations

import msgspec

PREDICTION_SCHEMA_VERSION = 1
DEAD_LETTER_SCHEMA_VERSION = 1
OUTCOME_SCHEMA_VERSION = 1


class Stages(msgspec.Struct, frozen=True):
    """Where a prediction's milliseconds went. Batch stages are those of its whole micro-batch."""

    broker_ms: float
    """From the source record's timestamp (set by its producer) to the poll that returned it."""
    wait_ms: float
    """From that poll until its micro-batch was begun."""
    decode_ms: float
    store_ms: float
    kernel_ms: float
    score_ms: float


class Prediction(msgspec.Struct, frozen=True):
    """One event's score with all that is needed to recompute and explain it.

    Consumers that may see a prediction again (at-least-once delivery, `revision`) keep the one
    with the highest revision per `id`; copies of one revision are equal in all but `stages`.
    """

    id: str
    key: str
    event_time_ms: int
    score: float
    decision: bool
    threshold: float
    features: list[float]
    """In the order of the feature set whose fingerprint is `feature_fingerprint`."""
    feature_fingerprint: str
    model: str
    model_version: int
    variant: str
    """Which role the model played: `champion`."""
    source_topic: str
    source_partition: int
    source_offset: int
    stages: Stages
    late: bool = False
    degraded: list[str] = msgspec.field(default_factory=list)
    """How this prediction is worse than it should be: `local_model`, `default_features`."""
    flags: list[str] = msgspec.field(default_factory=list)
    """What was odd about its event: `extra_fields`, `repeated`, `future`, `past`."""
    revision: int = 0
    schema_version: int = PREDICTION_SCHEMA_VERSION


class DeadLetter(msgspec.Struct, frozen=True):
    """A record that could not be processed: why, and where it stands.

    The original bytes are the dead letter's own `value` field, base64 coded in JSON; the original
    key and headers are the message's own.
    """

    stage: str
    """`decode`, `features`, `score` or `publish`."""
    reason: str
    """A stable code, such as `not_json` or `missing_field`."""
    message: str
    field: str | None
    source_topic: str
    source_partition: int
    source_offset: int
    source_timestamp_ms: int
    failed_at_ms: int
    value: bytes | None
    attempts: int = 1
    schema_version: int = DEAD_LETTER_SCHEMA_VERSION


class Outcome(msgspec.Struct, frozen=True):
    """A prediction with the truth about it, published when the label became known.

    The same outcome may come again after a crash: keep the one with the highest `revision` per
    `id`. A corrected label gives an outcome with a higher revision.
    """

    id: str
    key: str
    event_time_ms: int
    known_at_ms: int
    label: float
    """Non-zero is positive."""
    score: float
    shadow_scores: dict[str, float | None]
    """What learners said of the same event when it was scored, before they saw its label."""
    features: list[float | None]
    model_version: int
    revision: int = 0
    schema_version: int = OUTCOME_SCHEMA_VERSION
