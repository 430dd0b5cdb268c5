"""From the columns of data files to those of a pipeline's events and labels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streams.conversion import DataFileError, Field, converted, fields_of
from streams.data_files import DataFile
from streams.pipeline import EventSchema, LabelSchema, Pipeline

READ_ROWS = 131_072


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a file: its events and its labels, `None` where the file has no such columns."""

    events: Any | None
    labels: Any | None


@dataclass(frozen=True, slots=True)
class _Mapping:
    """Which of a file's columns stands for which field of a record."""

    schema: EventSchema
    columns: Mapping[str, str]
    fields: Mapping[str, Field]


def read_parts(
    pipeline: Pipeline,
    data: Sequence[DataFile],
    rows: int = READ_ROWS,
    *,
    only_times: bool = False,
) -> Iterator[Part]:
    """The files' rows in their order, as columns of the record types' fields.

    With `only_times`, events have their time column alone, and there are no labels.

    Raises `DataFileError`.
    """
    for file in data:
        events, labels = _mappings(pipeline, file)
        if only_times:
            events = _only(events, pipeline.events.time) if events else None
            if events is None:
                yield Part(None, None)
                continue
            labels = None
        wanted = [m for m in (events, labels) if m is not None]
        names = list(dict.fromkeys(name for m in wanted for name in m.columns.values()))
        first_row = 1
        for batch in file.batches(names, rows):
            yield Part(
                None if events is None else _table(file, batch, events, first_row),
                None if labels is None else _labels(file, batch, labels, first_row),
            )
            first_row += len(batch)


def empty_table(schema: EventSchema) -> Any:
    """A table of no records, with the columns of the record's fields."""
    fields = fields_of(schema.record)
    return pa.table({f.name: pa.array([], f.arrow_type or pa.null()) for f in fields})


def _mappings(pipeline: Pipeline, file: DataFile) -> tuple[_Mapping | None, _Mapping | None]:
    present = file.column_names()
    events = _mapping(pipeline.events, present)
    labels = _mapping(pipeline.labels, present)
    if pipeline.labels.value not in labels.columns:
        _require(file, present, events, pipeline.events)
        return events, None
    _require(file, present, labels, pipeline.labels)
    return (None if _missing(events) else events), labels


def _mapping(schema: EventSchema, present: Sequence[str]) -> _Mapping:
    fields = {field.name: field for field in fields_of(schema.record)}
    columns: dict[str, str] = {}
    for name in fields:
        found = [c for c in (schema.columns.get(name, name), name) if c in present]
        if found:
            columns[name] = found[0]
    return _Mapping(schema, columns, fields)


def _only(mapping: _Mapping, name: str) -> _Mapping:
    return _Mapping(mapping.schema, {name: mapping.columns[name]}, mapping.fields)


def _missing(mapping: _Mapping) -> list[str]:
    schema = mapping.schema
    derived = {schema.known_at} if isinstance(schema, LabelSchema) else set()
    return [
        name
        for name, field in mapping.fields.items()
        if field.required and name not in mapping.columns and name not in derived
    ]


def _require(
    file: DataFile, present: Sequence[str], mapping: _Mapping, schema: EventSchema
) -> None:
    missing = _missing(mapping)
    if not missing:
        return
    wanted = ", ".join(
        f"{schema.columns[name]!r} or {name!r}" if name in schema.columns else repr(name)
        for name in missing
    )
    raise DataFileError(
        f"{file.path} has no column {wanted}, which {schema.record.__name__} needs; it has "
        f"{', '.join(present) or 'none'}. Name its columns in the pipeline's `columns`."
    )


def _table(file: DataFile, batch: Any, mapping: _Mapping, first_row: int) -> Any:
    return pa.table(
        {
            name: converted(
                batch.column(source),
                mapping.fields[name],
                f"{file.path}, column {source!r}",
                first_row,
            )
            for name, source in mapping.columns.items()
        }
    )


def _labels(file: DataFile, batch: Any, mapping: _Mapping, first_row: int) -> Any:
    """The labels of a batch: rows whose value is not empty, known when they or the delay say."""
    schema = mapping.schema
    if not isinstance(schema, LabelSchema):
        raise TypeError(f"{schema.record.__name__} is no label record")
    table = _table(file, batch, _optional(mapping, schema), first_row)
    known = pc.add(table.column(schema.time), schema.delay_ms)
    if schema.known_at in mapping.columns:
        known = pc.coalesce(table.column(schema.known_at), known)
        table = table.drop_columns([schema.known_at])
    table = table.append_column(schema.known_at, known)
    return table.filter(table.column(schema.value).is_valid())


def _optional(mapping: _Mapping, schema: LabelSchema) -> _Mapping:
    """The mapping with value and known_at allowed to be empty, which says: no label, no moment."""
    fields = dict(mapping.fields)
    for name in (schema.value, schema.known_at):
        fields[name] = replace(fields[name], nullable=True)
    return _Mapping(mapping.schema, mapping.columns, fields)
