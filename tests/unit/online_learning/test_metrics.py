"""The metrics against scikit-learn, and their intervals against repetition."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from online_learning.metrics import average_precision, log_losses, mean_interval, rank, roc_auc


def test_figures_are_those_of_scikit_learn() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    for digits in (1, 2, 12):  # many ties, some, none
        positive = rng.random(500) < 0.1
        positive[:2] = [True, False]
        scores = np.round(np.clip(rng.normal(0.4, 0.2, 500) + 0.2 * positive, 0, 1), digits)
        ranking = rank(positive, scores)
        auc = roc_auc(ranking)
        assert auc is not None
        assert auc.value == pytest.approx(roc_auc_score(positive, scores), abs=1e-12)
        assert average_precision(ranking) == pytest.approx(
            average_precision_score(positive, scores), abs=1e-12
        )
        assert log_losses(positive, scores).mean() == pytest.approx(
            log_loss(positive, scores), rel=1e-9
        )


def test_no_positives_no_negatives_or_no_rows_have_no_ranking() -> None:
    for truth in ([False, False], [True, True], []):
        ranking = rank(np.array(truth, dtype=np.bool_), np.full(len(truth), 0.5))
        assert roc_auc(ranking) is None
    assert average_precision(rank(np.zeros(2, dtype=np.bool_), np.ones(2))) is None
    assert average_precision(rank(np.zeros(0, dtype=np.bool_), np.ones(0))) is None
    assert mean_interval(np.zeros(0)) is None


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    # Scores of positives and negatives normal with means one deviation apart: AUC is Phi(1/sqrt 2).
    true_auc, true_mean = 0.7602499389065233, 1.0
    held = np.zeros(2)
    for _ in range(400):
        positive = rng.random(300) < 0.2
        auc = roc_auc(rank(positive, rng.normal(size=300) + positive))
        mean = mean_interval(rng.exponential(true_mean, 300))
        assert auc is not None
        assert mean is not None
        held += [auc.low <= true_auc <= auc.high, mean.low <= true_mean <= mean.high]
    assert (held / 400 > 0.9).all()
    assert (held / 400 < 0.985).all()
