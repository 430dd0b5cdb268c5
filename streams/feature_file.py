"""Computed features of a history's events as a Parquet file."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from streams.conversion import DataFileError
from streams.history import History

ID, EVENT_TIME = "id", "event_time"
FINGERPRINT = b"headrace.feature_fingerprint"
ROW_GROUP = 131_072


def write_features(
    history: History,
    values: NDArray[np.float64],
    out: Path,
    *,
    first: int = 0,
    progress: Callable[[float], None] = lambda _: None,
) -> None:
    """Writes `values` (float64[n, features]) of the events from row `first` on.

    Columns: `id`, `event_time` (timestamp[ms, UTC]), the features by name (float64), in order of
    event time; the feature set's fingerprint stands in the file's metadata. `out` appears when it
    is complete. `progress` is told shares from 0 to 1.

    Raises `DataFileError` when a feature is named like another column, or `out` cannot be written.
    """
    features = history.pipeline.features
    taken = {ID, EVENT_TIME}.intersection(features.names)
    if taken:
        raise DataFileError(
            f"pipeline {history.pipeline.name} has a feature named {taken.pop()!r}, which is a "
            "column of every file of features: give it another name"
        )
    table = _table(history, values, first)
    part = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with pa.parquet.ParquetWriter(part, table.schema) as writer:
            for start in range(0, max(len(table), 1), ROW_GROUP):
                writer.write_table(table.slice(start, ROW_GROUP))
                progress(min(start + ROW_GROUP, len(table)) / max(len(table), 1))
        part.replace(out)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DataFileError(f"{out} cannot be written: {error}") from None


def _table(history: History, values: NDArray[np.float64], first: int) -> Any:
    pipeline = history.pipeline
    columns = {
        ID: history.events.column(pipeline.events.id).slice(first).cast(pa.string()),
        EVENT_TIME: pa.array(history.event_times_ms[first:]).cast(pa.timestamp("ms", "UTC")),
    }
    for column, name in enumerate(pipeline.features.names):
        columns[name] = pa.array(np.ascontiguousarray(values[first:, column]))
    fingerprint = pipeline.features.fingerprint().encode()
    return pa.table(columns).replace_schema_metadata({FINGERPRINT: fingerprint})
