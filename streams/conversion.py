"""Columns of a data file as columns of a record type, or a plain word on the row that does not fit.

Wire types, as Arrow: str is `string`, int `int64`, float `float64`, bool `bool`; any other field of
a record is taken as the file has it. Moments become milliseconds since the epoch wherever a record
wants an int; moments without a zone are UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import inspect

from streams.errors import StreamError

_ZONE = r"(?:[zZ]|[+-]\d\d:?\d\d)$"
_WHOLE = r"^[+-]?\d{1,18}$"


class DataFileError(StreamError):
    """A data file cannot be used. Mend the file, or the pipeline's `columns`."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a record: its name, wire type, whether it may be null and may be absent."""

    name: str
    kind: str
    nullable: bool
    required: bool
    default: Any = None

    @property
    def arrow_type(self) -> Any:
        """The Arrow type of the field's column; `None` where it is as the file has it."""
        return _ARROW.get(self.kind)


_ARROW = {
    "str": pa.string(),
    "int": pa.int64(),
    "float": pa.float64(),
    "bool": pa.bool_(),
}
_KINDS: dict[type, str] = {
    inspect.StrType: "str",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
}


def fields_of(record: type[msgspec.Struct]) -> tuple[Field, ...]:
    """The fields of a record type, in its order."""
    info = inspect.type_info(record)
    fields = info.fields if isinstance(info, inspect.StructType) else ()
    return tuple(_field(field) for field in fields)


def converted(column: Any, field: Field, where: str, first_row: int) -> Any:
    """The column as the field wants it.

    `where` names file and column, `first_row` the number of the column's first row in the file,
    for the message of the `DataFileError` that is raised where a cell does not fit.
    """
    convert = _CONVERT.get(field.kind, _as_it_is)
    try:
        result = convert(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as error:
        row = _first_unfit(column, convert)
        raise DataFileError(
            f"{where}, row {first_row + row}: {column[row].as_py()!r} is not {_WORDS[field.kind]}"
        ) from error
    if result.null_count and not field.nullable:
        if not field.required:
            return pc.fill_null(result, field.default)
        row = pc.index(result.is_null(), True).as_py()
        raise DataFileError(f"{where}, row {first_row + row}: the cell is empty")
    return result


_WORDS = {
    "str": "a text",
    "int": "a whole number or a moment (such as 2026-01-31T12:00:00Z)",
    "float": "a finite number",
    "bool": "true, false, 1 or 0",
    "other": "of the field's type",
}


def _field(field: inspect.Field) -> Field:
    kind, nullable = _plain(field.type)
    default = None
    if field.default is not msgspec.NODEFAULT:
        default = field.default
    return Field(field.name, kind, nullable, field.required, default)


def _plain(kind: inspect.Type) -> tuple[str, bool]:
    if isinstance(kind, inspect.Metadata):
        kind = kind.type
    if isinstance(kind, inspect.UnionType):
        others = [k for k in kind.types if not isinstance(k, inspect.NoneType)]
        nullable = len(others) < len(kind.types)
        return (_plain(others[0])[0] if len(others) == 1 else "other"), nullable
    return _KINDS.get(type(kind), "other"), isinstance(kind, inspect.AnyType | inspect.NoneType)


def _first_unfit(column: Any, convert: Callable[[Any], Any]) -> int:
    """Index of the first cell that cannot be converted, by halving the prefix that still can."""
    fits, fails = 0, len(column)
    while fails - fits > 1:
        middle = (fits + fails) // 2
        try:
            convert(column.slice(0, middle))
            fits = middle
        except pa.ArrowException:
            fails = middle
    return fits


def _as_it_is(column: Any) -> Any:
    return column


def _text(column: Any) -> Any:
    return column.cast(pa.string())


def _whole(column: Any) -> Any:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        filled = column.drop_null()
        if pc.all(pc.match_substring_regex(filled, _WHOLE)).as_py() is not False:
            return column.cast(pa.int64())
        return _moments(column)
    if pa.types.is_timestamp(kind):
        return column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
    if pa.types.is_date(kind):
        return column.cast(pa.timestamp("ms")).cast(pa.int64())
    return column.cast(pa.int64())


def _moments(column: Any) -> Any:
    """ISO 8601 texts, with or without a zone, as int64 milliseconds."""
    zoned = pc.fill_null(pc.match_substring_regex(column, _ZONE), False)
    # A date alone ends like a zone offset: 2026-01-31.
    zoned = pc.and_(zoned, pc.greater(pc.fill_null(pc.utf8_length(column), 0), 10))
    nothing = pa.scalar(None, column.type)
    with_zone = pc.if_else(zoned, column, nothing).cast(pa.timestamp("us", "UTC"))
    without = pc.if_else(zoned, nothing, column).cast(pa.timestamp("us"))
    micros = pc.coalesce(with_zone.cast(pa.int64()), without.cast(pa.int64()))
    return pc.floor(pc.divide(micros.cast(pa.float64()), 1000.0)).cast(pa.int64())


def _number(column: Any) -> Any:
    result = column.cast(pa.float64())
    if not pc.all(pc.is_finite(result.drop_null())).as_py() and len(result.drop_null()):
        raise pa.ArrowInvalid("not finite")
    return result


def _truth(column: Any) -> Any:
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        numbers = column.cast(pa.float64())
        sound = pc.or_(pc.equal(numbers, 0.0), pc.equal(numbers, 1.0))
        if pc.all(sound).as_py() is False:
            raise pa.ArrowInvalid("neither 0 nor 1")
        return pc.equal(numbers, 1.0)
    return column.cast(pa.bool_())


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "str": _text,
    "int": _whole,
    "float": _number,
    "bool": _truth,
}
