"""What happened: events and labels of a pipeline as columns, from data files or a simulator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, LABELS
from featurizers.facts import Facts
from featurizers.identity import identities
from streams.columns import counted_fields, entity_keys
from streams.conversion import fields_of
from streams.data_files import DataFile
from streams.history_files import Part, empty_table, read_parts
from streams.pipeline import EventSchema, Pipeline

PIECE_ROWS = 4_096
_PLAIN = (pa.string(), pa.int64(), pa.float64(), pa.bool_())


@dataclass(frozen=True, slots=True)
class History:
    """Events and labels of a pipeline.

    Attributes
    ----------
    events:
        Arrow table, columns named by the event record's fields, in order of event time.
    labels:
        Arrow table, columns named by the label record's fields, in the order in which they
        became known.
    """

    pipeline: Pipeline
    events: Any
    labels: Any

    @classmethod
    def ordered(cls, pipeline: Pipeline, events: Any, labels: Any) -> History:
        """A history of tables in any order; among equal times their own order stands."""
        by_time = _sorted_by(events, pipeline.events.time)
        return cls(pipeline, by_time, _sorted_by(labels, pipeline.labels.known_at))

    def __len__(self) -> int:
        return int(self.events.num_rows)

    @property
    def event_times_ms(self) -> NDArray[np.int64]:
        """int64[n], event times, ascending."""
        return column(self.events, self.pipeline.events.time)

    @property
    def label_known_at_ms(self) -> NDArray[np.int64]:
        """int64[m], when each label became known, ascending."""
        return column(self.labels, self.pipeline.labels.known_at)

    @property
    def event_ids(self) -> list[str]:
        """The events' ids, in order of event time."""
        return cells(self.events.column(self.pipeline.events.id))

    def between(self, from_ms: int | None = None, to_ms: int | None = None) -> History:
        """Events with `from_ms <= time < to_ms`, and what became known from `from_ms` on.

        Labels are those of all events before `to_ms` that became known at `from_ms` or later: the
        labels that a stream starting at `from_ms` still sees, of earlier events too.
        """
        times, known = self.event_times_ms, self.label_known_at_ms
        first = 0 if from_ms is None else int(np.searchsorted(times, from_ms))
        last = len(times) if to_ms is None else int(np.searchsorted(times, to_ms))
        labels = self.labels.slice(0 if from_ms is None else int(np.searchsorted(known, from_ms)))
        if to_ms is not None:
            about = column(labels, self.pipeline.labels.time)
            labels = labels.filter(pa.array(about < to_ms))
        return History(self.pipeline, self.events.slice(first, max(last - first, 0)), labels)

    def before(self, time_ms: int) -> History:
        """All that was known just before `time_ms`: earlier events, and labels known by then."""
        last = int(np.searchsorted(self.event_times_ms, time_ms))
        known = int(np.searchsorted(self.label_known_at_ms, time_ms))
        return History(self.pipeline, self.events.slice(0, last), self.labels.slice(0, known))

    def events_facts(self) -> Facts:
        """The events as columns for features, in order of event time."""
        return _facts(self.pipeline, EVENTS, self.events)

    def labels_facts(self) -> Facts:
        """The labels as columns for features, in the order in which they became known."""
        return _facts(self.pipeline, LABELS, self.labels)

    def truth(self) -> NDArray[np.float64]:
        """float64[n], the last known label of each event, NaN where there is none."""
        schema = self.pipeline.labels
        values = _floats(self.labels.column(schema.value))
        ids = self.labels.column(schema.id).combine_chunks()
        # Of a corrected label the last counts, so the ids are searched from the end.
        latest = pc.index_in(self.events.column(self.pipeline.events.id), value_set=ids[::-1])
        rows = _floats(latest)
        found = ~np.isnan(rows)
        result = np.full(len(rows), np.nan)
        result[found] = values[::-1][rows[found].astype(np.int64)]
        return result

    def pieces(self, rows: int = PIECE_ROWS) -> Iterator[History]:
        """The history in pieces of at most `rows` events, each with the labels of its own events.

        Labels of events that are not here come with the first piece.
        """
        ids = self.events.column(self.pipeline.events.id).combine_chunks()
        at = pc.index_in(self.labels.column(self.pipeline.labels.id), value_set=ids)
        home = pc.fill_null(at, 0).to_numpy() // rows
        labels = self.labels.take(pa.array(np.argsort(home, kind="stable")))
        count = max(-(-len(self) // rows), 1)
        cuts = np.searchsorted(np.sort(home), np.arange(count + 1))
        for number in range(count):
            own = labels.slice(int(cuts[number]), int(cuts[number + 1] - cuts[number]))
            yield History(self.pipeline, self.events.slice(number * rows, rows), own)

    def write(self, path: Path) -> None:
        """Write one Parquet file that `read_history` reads back: a row an event, with its label.

        Labels of events that are not in the history are left out; of a corrected label the last
        is kept.
        """
        schema = self.pipeline.labels
        table = self.events.append_column(schema.value, pa.array(self.truth(), from_pandas=True))
        known = dict(
            zip(self.labels.column(schema.id).to_pylist(), self.label_known_at_ms, strict=True)
        )
        at = pa.array([known.get(i) for i in self.event_ids], pa.int64())
        path.parent.mkdir(parents=True, exist_ok=True)
        pa.parquet.write_table(table.append_column(schema.known_at, at), path)


def read_history(
    pipeline: Pipeline,
    files: Sequence[Path],
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> History:
    """All that `files` say of a pipeline, in order; `from_ms` and `to_ms` as in `between`.

    A file has events, labels or both, told by its columns: a column is a field's name, or what
    the schema's `columns` calls it. Without a `known_at` column a label is known `delay_ms` after
    its event. A row whose label is empty has none.

    Raises `DataFileError` that names file and column or row. Values beyond the record type's
    limits are not looked for: a worker sets such events aside.
    """
    parts = list(read_parts(pipeline, [DataFile(path) for path in files]))
    return _history(pipeline, parts).between(from_ms, to_ms)


def iter_history(
    pipeline: Pipeline,
    files: Sequence[Path],
    from_ms: int | None = None,
    to_ms: int | None = None,
    rows: int = PIECE_ROWS,
) -> Iterator[History]:
    """The same in pieces of about `rows` events, ordered by event time; labels as in `pieces`.

    Memory is bounded by `rows` when the files, ordered as given, are in event-time order and have
    their labels beside the events. Otherwise everything is read and sorted first.

    Raises `DataFileError` as `read_history` does, perhaps not before its row is reached.
    """
    data = [DataFile(path) for path in files]
    if not _in_order(pipeline, data):
        yield from read_history(pipeline, files, from_ms, to_ms).pieces(rows)
        return
    for part in read_parts(pipeline, data, rows):
        piece = _history(pipeline, [part]).between(from_ms, to_ms)
        if len(piece) or piece.labels.num_rows:
            yield piece


def count_events(
    pipeline: Pipeline, files: Sequence[Path], from_ms: int | None = None, to_ms: int | None = None
) -> int:
    """How many events of `files` lie in `from_ms <= time < to_ms`."""
    count = 0
    for times in _times(pipeline, [DataFile(path) for path in files]):
        inside = np.ones(len(times), dtype=np.bool_)
        if from_ms is not None:
            inside &= times >= from_ms
        if to_ms is not None:
            inside &= times < to_ms
        count += int(inside.sum())
    return count


def column(table: Any, name: str) -> NDArray[np.int64]:
    """int64[n], a column of whole numbers without nulls."""
    values: NDArray[np.int64] = table.column(name).to_numpy().astype(np.int64, copy=False)
    return values


def cells(values: Any) -> list[Any]:
    """The cells of a table's column as Python values; nulls are `None`."""
    plain = values.type in _PLAIN and not values.null_count
    # numpy is three times as fast here, but knows no null and no moment.
    listed: list[Any] = values.to_numpy().tolist() if plain else values.to_pylist()
    return listed


def _times(pipeline: Pipeline, data: Sequence[DataFile]) -> Iterator[NDArray[np.int64]]:
    for part in read_parts(pipeline, data, only_times=True):
        if part.events is not None:
            yield column(part.events, pipeline.events.time)


def _in_order(pipeline: Pipeline, data: Sequence[DataFile]) -> bool:
    newest = np.iinfo(np.int64).min
    for part in read_parts(pipeline, data, only_times=True):
        if part.events is None:
            return False
        times = column(part.events, pipeline.events.time)
        if len(times) and (times[0] < newest or (np.diff(times) < 0).any()):
            return False
        newest = int(times[-1]) if len(times) else newest
    return True


def _history(pipeline: Pipeline, parts: Sequence[Part]) -> History:
    events = [part.events for part in parts if part.events is not None]
    labels = [part.labels for part in parts if part.labels is not None]
    return History.ordered(
        pipeline,
        _joined(pipeline.events, events),
        _joined(pipeline.labels, labels),
    )


def _joined(schema: EventSchema, tables: Sequence[Any]) -> Any:
    if not tables:
        return empty_table(schema)
    joined = pa.concat_tables(tables, promote_options="default")
    for field in fields_of(schema.record):
        # A field that one file has and another has not is null in the rows of the other.
        at = joined.schema.get_field_index(field.name)
        if at >= 0 and field.default is not None and joined.column(at).null_count:
            filled = pc.fill_null(joined.column(at), field.default)
            joined = joined.set_column(at, field.name, filled)
    return joined


def _sorted_by(table: Any, name: str) -> Any:
    times = column(table, name)
    if not (np.diff(times) < 0).any():
        return table
    return table.take(pa.array(np.argsort(times, kind="stable")))


def _facts(pipeline: Pipeline, source: str, table: Any) -> Facts:
    schema = pipeline.events if source == EVENTS else pipeline.labels
    values: Mapping[str, NDArray[np.float64]] = {
        name: _floats(table.column(name))
        for name in counted_fields(pipeline.features, schema, source)
    }
    keys = {
        entity: cells(table.column(key))
        for entity, key in entity_keys(pipeline.features, source).items()
    }
    ids = identities(cells(table.column(schema.id)))
    return Facts(source, ids, column(table, schema.time), keys, values)


def _floats(values: Any) -> NDArray[np.float64]:
    floats: NDArray[np.float64] = values.cast(pa.float64()).to_numpy()
    return floats
