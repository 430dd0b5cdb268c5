"""The port to where the label join waits, and the adapter that keeps it in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from online_learning.join_rows import LabelChange, merge_label


class PredictionReply(NamedTuple):
    """What the store holds of an event whose prediction came in."""

    prediction: bytes
    """The prediction that was stored first."""
    label: bytes | None
    """As `merge_label` keeps it; None while no label is known."""


class LabelReply(NamedTuple):
    """What the store holds of an event whose label came in."""

    change: LabelChange
    label: bytes
    """As `merge_label` keeps it."""
    prediction: bytes | None
    """None while there is none, or where the change is neither FIRST, CORRECTED nor AGAIN."""


class Tally(NamedTuple):
    """How many events of a day the store holds: with a prediction, with a label, with both."""

    predictions: int
    labels: int
    joined: int


class JoinStore(Protocol):
    """Predictions and labels that wait for each other, in buckets by the event's day.

    Each call is one round trip, atomic, and takes rows in order: a later row sees an earlier one
    of the same call. `days` are days since the epoch (UTC) of the events' event times; an event's
    prediction and label carry the same event time, so they meet in one bucket.

    Raises `JoinStoreUnavailable` (then all, some or none of the call may have been done: call it
    again, for repeating a call changes nothing), `JoinStoreRefused` or `JoinFormatError`.
    """

    def add_predictions(
        self, days: Sequence[int], ids: Sequence[bytes], values: Sequence[bytes]
    ) -> Sequence[PredictionReply | None]:
        """Store each prediction unless its event has one. None where it is new and unlabelled."""
        ...

    def add_labels(
        self, days: Sequence[int], ids: Sequence[bytes], labels: Sequence[bytes]
    ) -> Sequence[LabelReply]:
        """Merge each label (as packed by `pack_labels`) by the rule of `merge_label`."""
        ...

    def tallies(self) -> Mapping[int, Tally]:
        """By day, what is held."""
        ...

    def drop(self, days: Iterable[int]) -> Mapping[int, Tally]:
        """Forget whole days, and say what was in them; days that are not held are left out."""
        ...


@dataclass(slots=True)
class _Day:
    predictions: dict[bytes, bytes] = field(default_factory=dict)
    labels: dict[bytes, bytes] = field(default_factory=dict)
    joined: int = 0

    def tally(self) -> Tally:
        return Tally(len(self.predictions), len(self.labels), self.joined)


class MemoryJoinStore:
    """A `JoinStore` in this process's memory: for tests, and where a restart may forget."""

    def __init__(self) -> None:
        self._days: dict[int, _Day] = {}

    def add_predictions(
        self, days: Sequence[int], ids: Sequence[bytes], values: Sequence[bytes]
    ) -> list[PredictionReply | None]:
        """See `JoinStore.add_predictions`."""
        replies: list[PredictionReply | None] = []
        for number, event, value in zip(days, ids, values, strict=True):
            day = self._day(number)
            stored, label = day.predictions.get(event), day.labels.get(event)
            if stored is None:
                stored = day.predictions[event] = value
                day.joined += label is not None
                replies.append(None if label is None else PredictionReply(stored, label))
            else:
                replies.append(PredictionReply(stored, label))
        return replies

    def add_labels(
        self, days: Sequence[int], ids: Sequence[bytes], labels: Sequence[bytes]
    ) -> list[LabelReply]:
        """See `JoinStore.add_labels`."""
        replies = []
        for number, event, label in zip(days, ids, labels, strict=True):
            day = self._day(number)
            kept, change = merge_label(day.labels.get(event), label)
            day.labels[event] = kept
            prediction = day.predictions.get(event)
            day.joined += change is LabelChange.FIRST and prediction is not None
            replies.append(
                LabelReply(change, kept, prediction if change <= LabelChange.AGAIN else None)
            )
        return replies

    def tallies(self) -> dict[int, Tally]:
        """See `JoinStore.tallies`."""
        return {number: day.tally() for number, day in self._days.items()}

    def drop(self, days: Iterable[int]) -> dict[int, Tally]:
        """See `JoinStore.drop`."""
        return {n: self._days.pop(n).tally() for n in set(days) if n in self._days}

    def _day(self, number: int) -> _Day:
        return self._days.setdefault(number, _Day())
