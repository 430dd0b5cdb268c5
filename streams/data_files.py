"""Data files as batches of columns: Parquet, CSV and JSON lines, read a piece at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from streams.conversion import DataFileError

_CSV_BLOCK_BYTES = 4_194_304

Batches = Iterator[Any]


class DataFile:
    """One file, whose format its name's ending tells.

    Raises `DataFileError` when there is no such file or its ending is none that can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        ending = path.suffix.lower()
        if ending not in _FORMATS:
            known = ", ".join(_FORMATS)
            raise DataFileError(f"{path}: the ending says no format; it must be one of {known}")
        if not path.is_file():
            raise DataFileError(f"{path}: there is no such file")
        self._columns, self._batches = _FORMATS[ending]

    def column_names(self) -> list[str]:
        """The names of the file's columns (of JSON lines: of the first line's fields)."""
        with _readable(self.path):
            return self._columns(self.path)

    def batches(self, columns: Sequence[str], rows: int) -> Batches:
        """The named columns as Arrow record batches, about `rows` rows each, in file order.

        Every cell of a CSV file is a string or null (empty); of JSON lines, what JSON says.
        """
        with _readable(self.path):
            yield from self._batches(self.path, columns, rows)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise DataFileError(f"{path} cannot be read: {error}") from error


def _parquet_columns(path: Path) -> list[str]:
    return list(pa.parquet.read_schema(path).names)


def _parquet_batches(path: Path, columns: Sequence[str], rows: int) -> Batches:
    with pa.parquet.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=rows, columns=list(columns))


def _csv_reader(path: Path, columns: Sequence[str] | None) -> Any:
    read = pa.csv.ReadOptions(block_size=_CSV_BLOCK_BYTES)
    convert = pa.csv.ConvertOptions(
        include_columns=list(columns or ()),
        column_types=dict.fromkeys(columns or (), pa.string()),
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return pa.csv.open_csv(path, read_options=read, convert_options=convert)


def _csv_columns(path: Path) -> list[str]:
    with _csv_reader(path, None) as reader:
        return list(reader.schema.names)


def _csv_batches(path: Path, columns: Sequence[str], rows: int) -> Batches:
    with _csv_reader(path, columns) as reader:
        for block in reader:
            for start in range(0, len(block), rows):
                yield block.slice(start, rows)


def _json_columns(path: Path) -> list[str]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                return list(_object(path, number, line))
    return []


def _json_batches(path: Path, columns: Sequence[str], rows: int) -> Batches:
    cells: list[dict[str, Any]] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.strip():
                cells.append(_object(path, number, line))
            if len(cells) == rows:
                yield _json_batch(cells, columns)
                cells = []
    if cells:
        yield _json_batch(cells, columns)


_decode = msgspec.json.Decoder(dict[str, Any]).decode


def _object(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        return _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}, line {number}: not a JSON object: {error}") from error


def _json_batch(cells: list[dict[str, Any]], columns: Sequence[str]) -> Any:
    arrays = [_json_column([row.get(name) for row in cells]) for name in columns]
    return pa.record_batch(arrays, names=list(columns))


def _json_column(cells: list[Any]) -> Any:
    """The cells as one Arrow array; cells of several types as their JSON texts."""
    try:
        return pa.array(cells)
    except (pa.ArrowException, OverflowError):
        return pa.array([None if c is None else _json_text(c) for c in cells], pa.string())


def _json_text(cell: Any) -> str:
    return cell if isinstance(cell, str) else msgspec.json.encode(cell).decode()


_FORMATS: dict[
    str, tuple[Callable[[Path], list[str]], Callable[[Path, Sequence[str], int], Batches]]
] = {
    ".parquet": (_parquet_columns, _parquet_batches),
    ".csv": (_csv_columns, _csv_batches),
    ".jsonl": (_json_columns, _json_batches),
    ".ndjson": (_json_columns, _json_batches),
    ".json": (_json_columns, _json_batches),
}
