"""The monitor over the published fraud features: quiet on what is clean, awake to what is not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xgboost
from pyarrow import parquet

from online_learning.alerts import Alert
from online_learning.batches import LabelBatch, Positions, ScoredBatch
from online_learning.join_store import MemoryJoinStore
from online_learning.monitor import Monitor, build_monitor
from online_learning.spec import DAY_MS, MonitorSpec
from streams.pipelines.fraud import PIPELINE

DATA = Path(__file__).parents[4] / "shared" / "data"
FEATURES = DATA / "fraud_published_features_to_2018-08-14.parquet"
RAW = DATA / "fraud_raw.parquet"
BATCH = 500


def day(text: str) -> int:
    return int(np.datetime64(text, "ms").astype(np.int64))


class Published:
    """Payments of four weeks with their published features and the scores of a trained model."""

    def __init__(self) -> None:
        columns = ["TX_DATETIME", "TX_AMOUNT", "TX_FRAUD", "CUSTOMER_ID"]
        features = parquet.read_table(FEATURES)
        raw = parquet.read_table(RAW, columns=columns).slice(0, features.num_rows)
        times = raw["TX_DATETIME"].to_numpy().astype("datetime64[ms]").astype(np.int64)
        inside = np.flatnonzero((times >= day("2018-07-14")) & (times < day("2018-08-11")))
        first, count = int(inside[0]), len(inside)
        features, raw = features.slice(first, count), raw.slice(first, count)
        self.times = times[inside]
        self.positive = raw["TX_FRAUD"].to_numpy().astype(np.bool_)
        self.customers = raw["CUSTOMER_ID"].to_numpy()
        amounts = raw["TX_AMOUNT"].to_numpy()
        names = [n for n in features.column_names if n != "TRANSACTION_ID"]
        self.features = np.column_stack(
            [amounts, *(features[n].to_numpy().astype(np.float64) for n in names)]
        )
        trained = self.times < day("2018-07-21")
        model = xgboost.train(
            {"objective": "binary:logistic", "max_depth": 3, "eta": 0.1, "nthread": 1},
            xgboost.DMatrix(self.features[trained], self.positive[trained]),
            100,
        )
        self.scores = model.predict(xgboost.DMatrix(self.features)).astype(np.float64)


@pytest.fixture(scope="module")
def published() -> Published:
    if not FEATURES.exists() or not RAW.exists():
        pytest.skip(f"the published fraud data is not in {DATA}")
    return Published()


def follow(it: Published, first: str, amount_factor: float = 1.0) -> tuple[Monitor, list[Alert]]:
    """Watch from `first` on; from 2018-07-30 amounts come multiplied, labels after seven days."""
    monitor = build_monitor(
        MonitorSpec(),
        PIPELINE.features,
        MemoryJoinStore(),
        pipeline="fraud",
        threshold=0.5,
        clock=iter(range(10**9)).__next__,
    )
    features = it.features.copy()
    features[it.times >= day("2018-07-30"), 0] *= amount_factor
    partitions, offsets = it.customers % 4, np.arange(len(it.times))
    known_at = it.times + 7 * DAY_MS
    alerts: list[Alert] = []
    told = start = int(np.searchsorted(it.times, day(first)))
    for begin in range(start, len(it.times), BATCH):
        rows = offsets[begin : begin + BATCH]
        batch = ScoredBatch(
            ids=[f"t{i}" for i in rows],
            keys=[f"c{i}" for i in it.customers[rows]],
            event_time_ms=it.times[rows],
            scores=it.scores[rows],
            features=features[rows],
            model_version=np.ones(len(rows), dtype=np.int64),
            positions=Positions(partitions[rows], offsets[rows]),
        )
        alerts += monitor.on_predictions(batch).alerts
        known = int(np.searchsorted(known_at, it.times[rows[-1]], side="right"))
        rows = offsets[told : max(known, told)]
        labels = LabelBatch(
            ids=[f"t{i}" for i in rows],
            event_time_ms=it.times[rows],
            known_at_ms=known_at[rows],
            labels=it.positive[rows].astype(np.float64),
            positions=Positions(partitions[rows], offsets[rows]),
        )
        alerts += monitor.on_labels(labels).alerts
        told = max(known, told)
    return monitor, alerts


def test_three_clean_weeks_raise_nothing_and_the_challenger_learns(published: Published) -> None:
    monitor, alerts = follow(published, "2018-07-21")
    assert alerts == []
    snapshot = monitor.snapshot()
    assert max(d.effect for d in snapshot.drift if d.kind != "error_drift") < 0.05
    assert snapshot.window is not None
    aucs = {m.model: m.auc or 0.0 for m in snapshot.window.models}
    assert aucs["champion"] > 0.85
    assert aucs["river_logistic"] > 0.8


@pytest.mark.parametrize(("factor", "severity"), [(1.6, "warning"), (100.0, "page")])
def test_amounts_in_another_currency_are_found_within_a_day(
    published: Published, factor: float, severity: str
) -> None:
    _, alerts = follow(published, "2018-07-24", factor)
    first = alerts[0]
    assert (first.kind, first.subject, first.severity) == ("feature_drift", "amount", severity)
    assert abs(first.since_event_time_ms - day("2018-07-30")) <= DAY_MS / 4
    assert 0 < first.detected_event_time_ms - day("2018-07-30") < 1.25 * DAY_MS
    assert {a.subject for a in alerts} == {"amount"}
