"""What a run left in its topics, as columns: the only input of figures and summaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from online_learning.alerts import Alert

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

STAGES = ("broker", "wait", "decode", "store", "kernel", "score")
"""The stages that a prediction records, in the order of an event's way."""
PUBLISH = "publish"
"""What is left of the end-to-end time after the recorded stages: encoding and producing."""


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Every record of the events topic.

    Attributes
    ----------
    position:
        int64 [n]: `position` of its partition and offset.
    timestamp_ms:
        int64 [n]: the record's Kafka timestamp, wall clock.
    """

    position: Ints
    timestamp_ms: Ints


@dataclass(frozen=True, slots=True)
class PredictionColumns:
    """Every record of the predictions topic, in topic order: repeats and revisions included.

    Attributes
    ----------
    id_hash:
        int64 [n]: hash of the prediction's id, the same in all columns of one process.
    key, keys:
        int64 [n] into the names `keys`.
    features:
        float64 [n, f], in the order of the feature set.
    stages_ms:
        float64 [n, len(STAGES)].
    source:
        int64 [n]: `position` of the event that was scored.
    published_at_ms:
        int64 [n]: the prediction's own Kafka timestamp, wall clock.
    """

    id_hash: Ints
    key: Ints
    keys: Sequence[str]
    event_time_ms: Ints
    score: Floats
    decision: Bools
    features: Floats
    stages_ms: Floats
    source: Ints
    published_at_ms: Ints
    model_version: Ints
    late: Bools
    degraded: Bools
    repeated: Bools

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class OutcomeColumns:
    """The newest revision of every prediction that was joined with its label.

    Attributes
    ----------
    known_at_ms:
        int64 [n]: event time at which the label became known.
    scores:
        Model role -> float64 [n]; NaN where that model did not score the row.
    """

    id_hash: Ints
    event_time_ms: Ints
    known_at_ms: Ints
    label: Bools
    scores: dict[str, Floats]

    def __len__(self) -> int:
        return len(self.label)


@dataclass(frozen=True, slots=True)
class DeadLetterColumns:
    """Dead letters: how many by topic, stage and reason, and which events they took."""

    count: dict[tuple[str, str, str], int] = field(default_factory=dict)
    source: Ints = field(default_factory=lambda: np.empty(0, np.int64))


@dataclass(frozen=True, slots=True)
class Injection:
    """A change that was put into the input on purpose, so that it can be looked for.

    Attributes
    ----------
    kind:
        What was done: `amounts`, `new_fraud`.
    at_ms:
        Event time from which it holds.
    subjects:
        Features (or metrics) on which an alert counts as having found it; empty: any.
    """

    kind: str
    at_ms: int
    subjects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """All that is reported on. Empty columns mean that nothing was in the topic."""

    pipeline: str
    feature_names: tuple[str, ...]
    events: EventColumns
    predictions: PredictionColumns
    outcomes: OutcomeColumns
    dead_letters: DeadLetterColumns
    alerts: tuple[Alert, ...] = ()
    injections: tuple[Injection, ...] = ()
    reference_ms: int = 0
    current_ms: int = 0
    cut: tuple[str, ...] = ()
    """Topics that held more records than were read."""


def position(partition: npt.ArrayLike, offset: npt.ArrayLike) -> Ints:
    """One int64 for a place in a topic; ascending with the offset inside a partition."""
    return (np.asarray(partition, np.int64) << 44) | np.asarray(offset, np.int64)


def end_to_end_ms(run: Run) -> Floats:
    """Milliseconds from an event's Kafka timestamp to that of its prediction, float64 [n].

    Both are whole milliseconds and set by a producer (or by the broker, where the topic says
    so): the event's when it was sent, the prediction's when the worker handed it to its producer.
    NaN where the event is not in the topic any more. Clocks of two machines can make it negative.
    """
    predictions, events = run.predictions, run.events
    if not len(predictions) or not len(events.position):
        return np.full(len(predictions), np.nan)
    order = np.argsort(events.position)
    ordered = events.position[order]
    at = np.minimum(np.searchsorted(ordered, predictions.source), len(ordered) - 1)
    found = ordered[at] == predictions.source
    sent = events.timestamp_ms[order][at]
    return np.where(found, predictions.published_at_ms - sent, np.nan)


def first_copies(predictions: PredictionColumns) -> Ints:
    """Rows of the first prediction for each source record: what is left out are repeats."""
    return np.sort(np.unique(predictions.source, return_index=True)[1]).astype(np.int64)
