"""The features of a history's events as a Parquet file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
from numpy.typing import NDArray

from deploy.errors import DeployError
from featurizers.offline import compute
from streams.history import History, read_history
from streams.pipeline import Pipeline

ID, EVENT_TIME = "id", "event_time"
FINGERPRINT = b"headrace.feature_fingerprint"
ROW_GROUP = 131_072
READ, COMPUTED = 40, 80


def backfill(
    pipeline: Pipeline,
    files: Sequence[Path],
    out: Path,
    *,
    from_ms: int | None = None,
    to_ms: int | None = None,
    threads: int = 1,
    progress: Callable[[int], None] = lambda _: None,
) -> int:
    """Writes the features of every event with `from_ms <= time < to_ms`; how many there were.

    Columns: `id`, `event_time` (timestamp[ms, UTC]), the features by name (float64), in order of
    event time; the feature set's fingerprint stands in the file's metadata. Each row sees what was
    known at its event time: events before `from_ms` fill its windows, labels count from when they
    became known. `out` appears when it is complete. `progress` is told percents.

    Raises `DeployError` when a feature is named like another column or `out` cannot be written,
    and the errors of reading data files and of `featurizers`.
    """
    taken = {ID, EVENT_TIME}.intersection(pipeline.features.names)
    if taken:
        raise DeployError(
            f"pipeline {pipeline.name} has a feature named {taken.pop()!r}, which is a column of "
            "every backfill: give it another name"
        )
    history = read_history(pipeline, files, to_ms=to_ms)
    progress(READ)
    values = compute(
        pipeline.features,
        history.events_facts(),
        history.labels_facts(),
        history.label_known_at_ms,
        threads=threads,
    )
    progress(COMPUTED)
    first = 0 if from_ms is None else int(np.searchsorted(history.event_times_ms, from_ms))
    _write(_table(pipeline, history, values, first), out, progress)
    return len(history) - first


def _table(pipeline: Pipeline, history: History, values: NDArray[np.float64], first: int) -> Any:
    columns = {
        ID: history.events.column(pipeline.events.id).slice(first).cast(pa.string()),
        EVENT_TIME: pa.array(history.event_times_ms[first:]).cast(pa.timestamp("ms", "UTC")),
    }
    for column, name in enumerate(pipeline.features.names):
        columns[name] = pa.array(np.ascontiguousarray(values[first:, column]))
    fingerprint = pipeline.features.fingerprint().encode()
    return pa.table(columns).replace_schema_metadata({FINGERPRINT: fingerprint})


def _write(table: Any, out: Path, progress: Callable[[int], None]) -> None:
    part = out.with_name(f"{out.name}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with pa.parquet.ParquetWriter(part, table.schema) as writer:
            for start in range(0, max(len(table), 1), ROW_GROUP):
                writer.write_table(table.slice(start, ROW_GROUP))
                done = min(start + ROW_GROUP, len(table)) / max(len(table), 1)
                progress(COMPUTED + round((100 - COMPUTED) * done))
        part.replace(out)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise DeployError(f"{out} cannot be written: {error}") from None
