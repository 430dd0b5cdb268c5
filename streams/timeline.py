"""Events and labels of a history as one sequence, in the order in which a stream sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from streams.history import History, cells, column
from streams.pipeline import EventSchema, Pipeline

TimeArray = NDArray[np.int64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of the sequence: n records, events and labels each in their own order.

    Attributes
    ----------
    when_ms:
        int64[n]: event time of an event, of a label the time at which it became known.
    is_event:
        bool[n]: which of the n are events; the k-th of them is row k of `events`, the k-th of the
        others row k of `labels`.
    closing:
        True after the last event, when only labels are left.
    """

    pipeline: Pipeline
    when_ms: TimeArray
    is_event: Mask
    events: Any
    labels: Any
    closing: bool = False

    def __len__(self) -> int:
        return len(self.when_ms)

    def part(self, first: int, last: int) -> Stretch:
        """The records `first <= i < last` of this stretch."""
        events_before = int(self.is_event[:first].sum())
        events = int(self.is_event[first:last].sum())
        return Stretch(
            self.pipeline,
            self.when_ms[first:last],
            self.is_event[first:last],
            self.events.slice(events_before, events),
            self.labels.slice(first - events_before, last - first - events),
            self.closing,
        )


def timeline(
    pieces: Iterable[History],
    *,
    labels: bool = True,
    labels_after_end: bool = True,
    max_events: int | None = None,
) -> Iterator[Stretch]:
    """Merge a history, in pieces ordered by event time, into one sequence.

    A label stands where it became known, before the events of the same millisecond. After the last
    event come the labels that became known later, unless `labels_after_end` is false. With
    `max_events`, later events are left out, and the labels that speak of them.
    """
    waiting: Any = None
    pipeline: Pipeline | None = None
    for piece in _limited(pieces, max_events):
        pipeline = piece.pipeline
        waiting = _with(waiting, piece) if labels else piece.labels.slice(0, 0)
        if not len(piece):
            continue
        known = column(waiting, pipeline.labels.known_at)
        due = int(np.searchsorted(known, piece.event_times_ms[-1], side="right"))
        yield _merged(piece, waiting.slice(0, due))
        waiting = waiting.slice(due)
    if pipeline is not None and labels_after_end and waiting.num_rows:
        known = column(waiting, pipeline.labels.known_at)
        none = np.zeros(len(known), dtype=np.bool_)
        yield Stretch(pipeline, known, none, piece.events.slice(0, 0), waiting, closing=True)


class Wire:
    """Turns rows of a history into a topic's keys and values."""

    def __init__(self, schema: EventSchema) -> None:
        self._record: Callable[..., Any] = schema.record
        self._key = schema.key
        self._encode = msgspec.json.Encoder().encode

    def messages(self, table: Any) -> list[tuple[bytes, bytes]]:
        """Key and value (JSON) of each row; fields without a column have their defaults."""
        names = table.column_names
        at = names.index(self._key)
        record, encode = self._record, self._encode
        rows = zip(*map(cells, table.columns), strict=True)
        return [
            (row[at].encode(), encode(record(**dict(zip(names, row, strict=True))))) for row in rows
        ]


def _limited(pieces: Iterable[History], max_events: int | None) -> Iterator[History]:
    if max_events is None:
        yield from pieces
        return
    left = max_events
    for piece in pieces:
        if len(piece) < left:
            left -= len(piece)
            yield piece
            continue
        schema = piece.pipeline.labels
        beyond = piece.events.slice(left).column(piece.pipeline.events.id).combine_chunks()
        spoken_of = pc.is_in(piece.labels.column(schema.id), value_set=beyond)
        labels = piece.labels.filter(pc.invert(spoken_of))
        yield History(piece.pipeline, piece.events.slice(0, left), labels)
        return


def _with(waiting: Any, piece: History) -> Any:
    """The waiting labels and the piece's, in the order in which they become known."""
    if waiting is None or not waiting.num_rows:
        return piece.labels
    both = pa.concat_tables([waiting, piece.labels], promote_options="default")
    known = column(both, piece.pipeline.labels.known_at)
    border = waiting.num_rows
    if border == len(known) or known[border] >= known[border - 1]:
        return both
    return both.take(pa.array(np.argsort(known, kind="stable")))


def _merged(piece: History, labels: Any) -> Stretch:
    known = column(labels, piece.pipeline.labels.known_at)
    when = np.concatenate((known, piece.event_times_ms))
    is_event = np.arange(len(when)) >= len(known)
    order = np.argsort(when, kind="stable")
    return Stretch(piece.pipeline, when[order], is_event[order], piece.events, labels)
