"""The Fraud Detection Handbook's published figures, from the features that its authors published.

Chapter 3: XGBoost's defaults of 1.x, trained on 2018-07-25..31, labels 7 days late, tested on
2018-08-08..14: AUC ROC .862, average precision .639, card precision@100 .273.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from inference.booster import Booster
from inference.evaluation import Split, average_precision, card_precision_top_k, roc_auc
from inference.model import DataRange
from inference.training import train
from streams.pipelines.fraud import PIPELINE

pytestmark = pytest.mark.integration

DATA = Path(__file__).parents[4] / "shared" / "data"
RAW = DATA / "fraud_raw.parquet"
FEATURES = DATA / "fraud_published_features_to_2018-08-14.parquet"
KEYS = ("TRANSACTION_ID", "TX_TIME_DAYS", "CUSTOMER_ID", "TX_FRAUD")
AMOUNT = "TX_AMOUNT"
FIRST_DAY = date(2018, 4, 1)
SPLIT = Split(train_start_day=(date(2018, 7, 25) - FIRST_DAY).days)


@dataclass
class Handbook:
    """The days from the training's first: (n,) columns and the features (n, 15)."""

    days: NDArray[np.int64]
    customers: NDArray[np.int64]
    labels: NDArray[np.bool_]
    features: NDArray[np.float64]
    names: tuple[str, ...]


def _columns(path: Path, names: list[str] | None = None) -> dict[str, NDArray[Any]]:
    table = pq.read_table(path, columns=names)
    return {name: table[name].to_numpy() for name in table.column_names}


@pytest.fixture(scope="module")
def handbook() -> Handbook:
    missing = [path.name for path in (RAW, FEATURES) if not path.exists()]
    if missing:
        pytest.skip(f"the published data is not in ../shared/data: {', '.join(missing)}")
    raw = _columns(RAW, [*KEYS, AMOUNT])
    published = _columns(FEATURES)
    end = SPLIT.test_start_day + SPLIT.test_days
    kept = (raw["TX_TIME_DAYS"] >= SPLIT.train_start_day) & (raw["TX_TIME_DAYS"] < end)
    raw = {name: values[kept] for name, values in raw.items()}
    order = np.argsort(published["TRANSACTION_ID"])
    place = np.searchsorted(published["TRANSACTION_ID"], raw["TRANSACTION_ID"], sorter=order)
    rows = order[place]
    assert (published["TRANSACTION_ID"][rows] == raw["TRANSACTION_ID"]).all()
    features = {AMOUNT: raw[AMOUNT]}
    features |= {name: published[name][rows] for name in published if name not in KEYS}
    assert len(features) == 15
    return Handbook(
        raw["TX_TIME_DAYS"].astype(np.int64),
        raw["CUSTOMER_ID"].astype(np.int64),
        raw["TX_FRAUD"].astype(np.bool_),
        np.column_stack([values.astype(np.float64) for values in features.values()]),
        tuple(features),
    )


def test_the_published_figures_come_out_of_the_published_features(handbook: Handbook) -> None:
    training = SPLIT.train_rows(handbook.days)
    tested = SPLIT.test_rows(handbook.days, handbook.customers, handbook.labels)
    labels = handbook.labels[tested]
    assert (len(labels), int(labels.sum())) == (58_264, 385)
    trained = train(
        PIPELINE.model,
        handbook.features[training],
        handbook.labels[training],
        feature_names=handbook.names,
        feature_fingerprint="published",
        data_range=DataRange(0, 1),
    )
    scores = Booster.load(trained.model).predict(handbook.features[tested].astype(np.float32))
    days, customers = handbook.days[tested], handbook.customers[tested]
    assert roc_auc(scores, labels) == pytest.approx(0.862, abs=0.002)
    assert average_precision(scores, labels) == pytest.approx(0.639, abs=0.002)
    precision = card_precision_top_k(days, customers, scores, labels, k=100)
    assert precision == pytest.approx(0.273, abs=0.002)
