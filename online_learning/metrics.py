"""How good scores were, given the truth: figures of one set of rows, with their uncertainty."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from online_learning.batches import BoolArray, FloatArray, IntArray

Z_95 = 1.959963984540054
_LEAST = float(np.finfo(np.float64).eps)


class Interval(NamedTuple):
    """An estimate with its 95% confidence interval (normal approximation)."""

    value: float
    low: float
    high: float


class Ranking(NamedTuple):
    """The rows by score, ties together: what every rank metric is computed from."""

    positives: IntArray
    """int64[g]: positives of each group of equal scores, lowest score first."""
    negatives: IntArray


def rank(positive: BoolArray, scores: FloatArray) -> Ranking:
    """Group n rows by score, with one sort."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]]) if len(order) else order
    truths = positive[order].astype(np.int64)
    positives = np.add.reduceat(truths, starts) if len(order) else truths
    sizes = np.diff(np.r_[starts, len(order)])
    return Ranking(positives, sizes - positives)


def roc_auc(ranking: Ranking) -> Interval | None:
    """Area under the ROC curve; None unless there are positives and negatives.

    The interval is DeLong's (Biometrics 44, 1988), computed from the groups of equal scores as
    by Sun and Xu (IEEE Signal Processing Letters 21, 2014), and cut to [0, 1].
    """
    n_positive, n_negative = int(ranking.positives.sum()), int(ranking.negatives.sum())
    if n_positive == 0 or n_negative == 0:
        return None
    below = (np.cumsum(ranking.negatives) - ranking.negatives / 2) / n_negative
    above = 1 - (np.cumsum(ranking.positives) - ranking.positives / 2) / n_positive
    auc = _dot(below, ranking.positives) / n_positive
    variance = 0.0
    for placements, counts, n in (
        (below, ranking.positives, n_positive),
        (above, ranking.negatives, n_negative),
    ):
        if n > 1:
            variance += _dot((placements - auc) ** 2, counts) / (n - 1) / n
    half = Z_95 * math.sqrt(variance)
    return Interval(auc, max(0.0, auc - half), min(1.0, auc + half))


def average_precision(ranking: Ranking) -> float | None:
    """Precision averaged over the steps of recall, as scikit-learn has it; None of no positive."""
    hits = np.cumsum(ranking.positives[::-1])
    if not len(hits) or hits[-1] == 0:
        return None
    called = hits + np.cumsum(ranking.negatives[::-1])
    return _dot(hits / called, ranking.positives[::-1]) / int(hits[-1])


def log_losses(positive: BoolArray, scores: FloatArray) -> FloatArray:
    """float64[n]: each row's log loss in nats; scores are kept off 0 and 1 by a float's epsilon."""
    likelihood = np.where(positive, scores, 1.0 - scores)
    losses: FloatArray = -np.log(np.clip(likelihood, _LEAST, 1.0 - _LEAST))
    return losses


def mean_interval(values: FloatArray) -> Interval | None:
    """Mean of n values; None of none."""
    if not len(values):
        return None
    mean = float(values.mean())
    half = Z_95 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return Interval(mean, mean - half, mean + half)


def _dot(values: FloatArray, counts: IntArray) -> float:
    # Not `@`: for arrays of this length BLAS would wake a thread on every core.
    return float((values * counts).sum())
