"""Files of features: what is refused, and what a reader finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from featurizers.definitions import FeatureSet, WeekendFeature
from streams.conversion import DataFileError
from streams.feature_file import write_features
from streams.history import History
from streams.pipelines.fraud import PIPELINE
from streams.simulator import SimulatorConfig, simulate


def history(*names: str) -> History:
    features = FeatureSet(entities=(), features=tuple(WeekendFeature(n) for n in names))
    simulated = simulate(SimulatorConfig(days=2, customers=120, terminals=300))
    pipeline = replace(PIPELINE, features=features)
    return History.ordered(pipeline, simulated.events, simulated.labels)


def test_a_feature_cannot_be_named_like_another_column(tmp_path: Path) -> None:
    events = history("weekend", "event_time")
    with pytest.raises(DataFileError, match="'event_time'"):
        write_features(events, np.zeros((len(events), 2)), tmp_path / "out.parquet")
    assert list(tmp_path.iterdir()) == []


def test_rows_from_the_first_wanted_on_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.feature_file.ROW_GROUP", 7)
    events, out = history("weekend"), tmp_path / "new" / "out.parquet"
    values = np.arange(len(events), dtype=np.float64).reshape(-1, 1)
    shares: list[float] = []
    write_features(events, values, out, first=3, progress=shares.append)
    table = pq.read_table(out)
    assert table["weekend"].to_pylist() == values[3:, 0].tolist()
    assert table["id"].to_pylist() == events.event_ids[3:]
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert len(shares) == -(-len(table) // 7)
    write_features(events, values, out, first=len(events))
    assert len(pq.read_table(out)) == 0
