"""Training: repeatable, evaluated on what it did not see, and plain about what it cannot use."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from inference.booster import Booster
from inference.errors import TrainingError
from inference.evaluation import roc_auc
from inference.model import DataRange, TrainedModel
from inference.scorer import Matrix
from inference.spec import ModelSpec
from inference.training import HeldOut, train
from tests.adapters.models import FINGERPRINT, PARAMETERS, random_rows, trained_model


def _labels(matrix: Matrix) -> NDArray[np.bool_]:
    return np.nan_to_num(matrix[:, 0]) > 0.5


def _train(
    matrix: NDArray[np.floating],
    labels: NDArray[np.bool_],
    names: tuple[str, ...] = ("a", "b", "c"),
    held_out: HeldOut | None = None,
    **parameters: int | str,
) -> TrainedModel:
    return train(
        ModelSpec("fraud", {**PARAMETERS, **parameters}, rounds=5),
        matrix,
        labels,
        feature_names=names,
        feature_fingerprint=FINGERPRINT,
        data_range=DataRange(0, 1),
        held_out=held_out,
    )


def test_the_same_input_gives_the_same_bytes() -> None:
    assert trained_model().model == trained_model().model
    assert trained_model().model != trained_model(seed=2).model


def test_a_trained_model_scores_alike_after_its_bytes_were_read_again() -> None:
    booster = Booster.load(trained_model().model)
    rows = random_rows(500, seed=3)
    again = Booster.load(booster.save(), threads=2)
    assert booster.predict(rows).tobytes() == again.predict(rows).tobytes()
    assert booster.columns == rows.shape[1]


def test_a_row_scores_alike_alone_and_in_any_batch() -> None:
    booster = Booster.load(trained_model().model)
    rows = random_rows(300, seed=4)
    alone = np.concatenate([booster.predict(row[None, :]) for row in rows])
    assert booster.predict(rows).tobytes() == alone.tobytes()
    assert booster.predict(rows[100:131]).tobytes() == alone[100:131].tobytes()


def test_metrics_are_of_the_held_out_rows() -> None:
    rows, later = random_rows(1_000, 5, columns=3), random_rows(400, 6, columns=3)
    held_out = HeldOut(later.astype(np.float64), _labels(later))
    trained = _train(rows.astype(np.float64), _labels(rows), held_out=held_out)
    scores = Booster.load(trained.model).predict(later)
    assert trained.metrics["roc_auc"] == roc_auc(scores, held_out.labels)
    assert trained.metrics["held_out_rows"] == 400
    assert trained.rows == 1_000
    assert trained.positives == int(_labels(rows).sum())


def test_what_cannot_be_judged_has_no_metric() -> None:
    rows = random_rows(200, 5, columns=3)
    held_out = HeldOut(rows, np.zeros(200, dtype=np.bool_))
    metrics = _train(rows, _labels(rows), held_out=held_out).metrics
    assert "roc_auc" not in metrics
    assert metrics["held_out_positives"] == 0


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"names": ("a", "b")}, "shape"),
        ({"labels": np.zeros(50, dtype=np.bool_)}, "0 of 50"),
        ({"labels": np.ones(50, dtype=np.bool_)}, "50 of 50"),
        ({"labels": np.ones(49, dtype=np.bool_)}, "49 labels"),
        ({"infinite": "b"}, "feature b"),
        ({"max_depht": 3}, "max_depht"),
        ({"max_depth": "deep"}, "max_depth"),
    ],
)
def test_a_training_set_that_makes_no_model_says_why(wrong: dict[str, object], said: str) -> None:
    matrix = random_rows(50, 5, columns=3)
    if wrong.pop("infinite", None):
        matrix[7, 1] = np.inf
    arguments = {"labels": _labels(matrix), **wrong}
    with pytest.raises(TrainingError, match=said):
        _train(matrix, **arguments)  # type: ignore[arg-type] # the table mixes kinds of arguments
