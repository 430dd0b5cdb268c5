"""From validated records to columns: the form in which features take them in."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
from msgspec import inspect
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, FeatureSet, FieldFeature, Value
from featurizers.facts import Facts
from featurizers.identity import identities
from streams.errors import DecodeError
from streams.pipeline import EventSchema, LabelSchema, PipelineError
from streams.rejection import DECODE

VERSION = "schema_version"
# Beyond it a float64 is no longer an exact integer, which the logs need.
_EXACT = float(2**53)
# Log entries keep three bits of a time for other things.
_TIME_SCALE = 8


@dataclass(frozen=True, slots=True)
class ColumnSet:
    """Accepted rows as columns, and the rows whose numbers do not fit into them."""

    ids: Sequence[str]
    keys: Sequence[str]
    facts: Facts
    faults: dict[int, DecodeError]


class Columns:
    """Turns decoded rows of one source into `Facts`, one pass over the rows."""

    def __init__(self, schema: EventSchema, features: FeatureSet, source: str) -> None:
        self._schema = schema
        self._source = source
        self._entities = entity_keys(features, source)
        self._values = counted_fields(features, schema, source)
        self._versioned = VERSION in schema.record.__struct_fields__
        names = [schema.id, schema.key, schema.time, *self._entities.values(), *self._values]
        names += [VERSION] if self._versioned else []
        self._names = tuple(dict.fromkeys(names))
        self._fields = operator.attrgetter(*self._names)
        _check_types(schema, (schema.id, schema.key, *self._entities.values()), self._values)

    def of(self, rows: Sequence[Any]) -> ColumnSet:
        """The columns of `rows`, which passed msgspec's validation."""
        cells = zip(*map(self._fields, rows), strict=True) if rows else ((),) * len(self._names)
        column = dict(zip(self._names, cells, strict=True))
        faults: dict[int, DecodeError] = {}
        if self._versioned and not set(column[VERSION]).issubset(self._schema.versions):
            for row, version in enumerate(column[VERSION]):
                if version not in self._schema.versions:
                    faults[row] = unknown_version(version, self._schema)
        times = _numbers(column[self._schema.time], _TIME_SCALE, self._schema.time, faults)
        values = {
            name: _numbers(column[name], value.scale, name, faults)
            for name, value in self._values.items()
        }
        ids: Sequence[str] = column[self._schema.id]
        facts = Facts(
            source=self._source,
            ids=identities(ids),
            times_ms=times.astype(np.int64),
            keys={name: column[key] for name, key in self._entities.items()},
            values=values,
        )
        return ColumnSet(ids, column[self._schema.key], facts, faults)


def _numbers(
    cells: Sequence[Any], scale: int, name: str, faults: dict[int, DecodeError]
) -> NDArray[np.float64]:
    """The cells as float64[n]; a cell whose multiple by `scale` is not exact is a fault and 0."""
    try:
        numbers = np.array(cells, dtype=np.float64)
    except OverflowError:
        numbers = np.array([_bounded(cell) for cell in cells], dtype=np.float64)
    bad = ~(np.abs(numbers) * scale < _EXACT)
    if bad.any():
        for row in np.flatnonzero(bad).tolist():
            if row not in faults:
                faults[row] = _not_a_number(cells[row], name)
        numbers[bad] = 0.0
    return numbers


def _bounded(cell: Any) -> float | None:
    if isinstance(cell, int) and abs(cell) >= _EXACT:
        return float("inf")
    number: float | None = cell
    return number


def _not_a_number(cell: Any, name: str) -> DecodeError:
    if cell is None:
        return DecodeError(DECODE, "missing_field", f"{name} is null, but a feature needs it", name)
    message = f"{name} is too large to be counted exactly (beyond 2^53 of its smallest unit)"
    return DecodeError(DECODE, "out_of_range", message, name)


def entity_keys(features: FeatureSet, source: str) -> dict[str, str]:
    """Entity name -> record field with its key, of the entities whose logs this source enters.

    Events enter the logs of all entities, for their place there is what they see; labels only of
    those that count labels.
    """
    return {
        f.entity.name: f.entity.key
        for f in features.window_features
        if source in (EVENTS, f.source)
    }


def counted_fields(features: FeatureSet, schema: EventSchema, source: str) -> dict[str, Value]:
    """Record field -> its value with the largest scale, of every number of a source.

    These are the fields that features need, and of labels the truth itself.
    """
    wanted = [f.value for f in features.window_features if f.source == source and f.value]
    if source == EVENTS:
        wanted += [f.value for f in features.features if isinstance(f, FieldFeature)]
    if isinstance(schema, LabelSchema):
        wanted.append(Value(schema.value))
    return {v.field: v for v in sorted(wanted, key=lambda v: v.scale)}


def _check_types(schema: EventSchema, texts: Iterable[str], numbers: Iterable[str]) -> None:
    types = _field_types(schema.record)
    record = schema.record.__name__
    faults = [
        f"{record}.{name} must be a str: it names an event or an entity"
        for name in dict.fromkeys(texts)
        if not isinstance(types.get(name), inspect.StrType)
    ]
    if not isinstance(types.get(schema.time), inspect.IntType):
        faults.append(f"{record}.{schema.time} must be an int: milliseconds since the epoch")
    faults += [
        f"{record}.{name} must be a number or a bool: it is counted"
        for name in numbers
        if not _is_number(types.get(name))
    ]
    if faults:
        raise PipelineError(record, faults)


def _field_types(record: type[msgspec.Struct]) -> dict[str, inspect.Type]:
    info = inspect.type_info(record)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    # A `Meta` with a description wraps the type that it describes.
    return {f.name: f.type.type if isinstance(f.type, inspect.Metadata) else f.type for f in fields}


def _is_number(kind: inspect.Type | None) -> bool:
    if isinstance(kind, inspect.UnionType):
        return all(isinstance(k, inspect.NoneType) or _is_number(k) for k in kind.types)
    return isinstance(kind, inspect.IntType | inspect.FloatType | inspect.BoolType)


def unknown_version(version: int, schema: EventSchema) -> DecodeError:
    """The rejection of a record whose `schema_version` its pipeline does not know."""
    known = ", ".join(map(str, schema.versions))
    message = f"schema_version is {version}, known: {known}"
    return DecodeError(DECODE, "unknown_schema_version", message[:300], VERSION)
