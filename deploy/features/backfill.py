"""The features of a history's events, from files to a file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from featurizers.offline import compute
from streams.feature_file import write_features
from streams.history import read_history
from streams.pipeline import Pipeline

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

    Each row sees what was known at its event time: events before `from_ms` fill its windows, labels
    count from when they became known. The file is as `write_features` says. `progress` is told
    percents. Raises `DataFileError` and the errors of `featurizers`.
    """
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
    write_features(
        history,
        values,
        out,
        first=first,
        progress=lambda share: progress(COMPUTED + round((100 - COMPUTED) * share)),
    )
    return len(history) - first
