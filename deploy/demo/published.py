"""The Handbook's figures, from the prediction topic, beside those that were published."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from deploy.demo.scenario import RECORDED_TRAIN_FROM_MS
from deploy.report.columns import Run
from featurizers.definitions import days
from inference.evaluation import Split, average_precision, card_precision_top_k, roc_auc
from streams.history import History

# Le Borgne et al., Fraud Detection Handbook, chapter 3: XGBoost with the defaults of 1.x.
PUBLISHED = {"auc": 0.862, "average_precision": 0.639, "card_precision_at_100": 0.273}


def handbook_figures(run: Run, history: History) -> Mapping[str, float | int]:
    """AUC, average precision and card precision@100 of the test week, by the Handbook's protocol.

    Trained a week, a week of delay, tested a week: customers with a fraud in training are left
    out, and for each test day those whose fraud had become known by then. Scores are those of the
    prediction topic, one for each event (the first copy of a repeated one).

    Raises ValueError when an event of the test week has no prediction.
    """
    day = history.event_times_ms // days(1)
    customers = np.array(history.events.column("customer_id").to_pylist())
    labels = history.truth() == 1
    tested = Split(RECORDED_TRAIN_FROM_MS // days(1)).test_rows(day, customers, labels)
    scores = _scores(run, history, tested)
    return {
        "auc": roc_auc(scores, labels[tested]),
        "average_precision": average_precision(scores, labels[tested]),
        "card_precision_at_100": card_precision_top_k(
            day[tested], customers[tested], scores, labels[tested], k=100
        ),
        "rows": int(tested.sum()),
        "frauds": int(labels[tested].sum()),
    }


def _scores(run: Run, history: History, tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    ids, first = np.unique(run.predictions.id_hash, return_index=True)
    events = history.event_ids
    wanted = np.array([hash(events[row]) for row in np.flatnonzero(tested).tolist()])
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    missing = int((ids[at] != wanted).sum())
    if missing:
        raise ValueError(f"{missing} events of the test week have no prediction")
    return run.predictions.score[first[at]]
