"""How good scores are against labels, as pure functions over arrays.

The card precision and the choice of test rows follow the Fraud Detection Handbook (Le Borgne,
Siblini, Lebichot, Bontempi: Reproducible Machine Learning for Credit Card Fraud Detection,
chapters 3 and 4), so that figures stand beside the published ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.bool_]
Floats = NDArray[np.floating[Any]]
Days = NDArray[np.integer[Any]]
Keys = NDArray[Any]

_LEAST_PROBABILITY = 1e-15


def roc_auc(scores: Floats, labels: Labels) -> float:
    """The probability that a positive scores above a negative, ties counting half.

    `scores` (n,) floats, `labels` (n,) bool. NaN where one of the classes is absent.
    """
    positives = int(labels.sum())
    negatives = len(labels) - positives
    if positives == 0 or negatives == 0:
        return float("nan")
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    last_rank = np.cumsum(counts)
    mean_rank = last_rank - (counts - 1) / 2
    rank_sum = float(mean_rank[inverse[labels]].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def average_precision(scores: Floats, labels: Labels) -> float:
    """Precision averaged over the recall gained at each distinct score, from the highest down.

    `scores` (n,) floats, `labels` (n,) bool. NaN where there is no positive.
    """
    positives = int(labels.sum())
    if positives == 0:
        return float("nan")
    values, inverse = np.unique(scores, return_inverse=True)
    rows = np.bincount(inverse, minlength=len(values))[::-1]
    hits = np.bincount(inverse[labels], minlength=len(values))[::-1]
    precision = np.cumsum(hits) / np.cumsum(rows)
    return float((precision * hits).sum() / positives)


def log_loss(scores: Floats, labels: Labels) -> float:
    """Mean negative log likelihood in nats; scores are probabilities, kept 1e-15 off 0 and 1.

    NaN where there is no row.
    """
    if len(scores) == 0:
        return float("nan")
    probability = np.clip(scores.astype(np.float64), _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
    return float(-np.log(np.where(labels, probability, 1 - probability)).mean())


def card_precision_top_k(
    days: Days, customers: Keys, scores: Floats, labels: Labels, k: int = 100
) -> float:
    """The share of truly compromised cards among the k most suspicious, mean over the days.

    A day ranks every customer by its highest score, ties by customer; a hit is one with a fraud
    that day. Customers that were hits are known from then on and leave the later days.

    Arguments are (n,): `days` integers, `customers` any sortable keys. NaN where there is no row.
    """
    unique, cards = np.unique(customers, return_inverse=True)
    known = np.zeros(len(unique), dtype=bool)
    precisions = []
    for day in np.unique(days):
        rows = np.flatnonzero((days == day) & ~known[cards])
        hits = _top_hits(cards[rows], scores[rows], labels[rows], k)
        known[hits] = True
        precisions.append(len(hits) / k)
    return float(np.mean(precisions)) if precisions else float("nan")


def _top_hits(cards: NDArray[np.intp], scores: Floats, labels: Labels, k: int) -> NDArray[np.intp]:
    present, inverse = np.unique(cards, return_inverse=True)
    highest = np.full(len(present), -np.inf)
    np.maximum.at(highest, inverse, scores)
    fraud = np.zeros(len(present), dtype=bool)
    np.logical_or.at(fraud, inverse, labels)
    top = np.lexsort((present, -highest))[:k]
    return present[top[fraud[top]]]


@dataclass(frozen=True, slots=True)
class Split:
    """Consecutive days: `train` of training, `delay` until labels are known, `test` of test."""

    train_start_day: int
    train_days: int = 7
    delay_days: int = 7
    test_days: int = 7

    @property
    def test_start_day(self) -> int:
        """The first day of the test."""
        return self.train_start_day + self.train_days + self.delay_days

    def train_rows(self, days: Days) -> NDArray[np.bool_]:
        """Which rows are of the training days, bool (n,)."""
        return _between(days, self.train_start_day, self.train_start_day + self.train_days)

    def test_rows(self, days: Days, customers: Keys, labels: Labels) -> NDArray[np.bool_]:
        """Which rows are tested, bool (n,), leaving out customers known to be compromised.

        On test day i (from 0) those are the customers with a fraud in the training days or on any
        day up to `train_start_day + train_days + i - 1`: what is known when labels come
        `delay_days` late. The arguments must hold all days from the training's first.
        """
        unique, cards = np.unique(customers, return_inverse=True)
        known = np.zeros(len(unique), dtype=bool)
        known[cards[self.train_rows(days) & labels]] = True
        tested = np.zeros(len(days), dtype=bool)
        for i in range(self.test_days):
            newly_known_day = self.train_start_day + self.train_days + i - 1
            known[cards[(days == newly_known_day) & labels]] = True
            tested |= (days == self.test_start_day + i) & ~known[cards]
        return tested


def classification_metrics(scores: Floats, labels: Labels) -> Mapping[str, float]:
    """`roc_auc`, `average_precision` and `log_loss` of the scores."""
    return {
        "roc_auc": roc_auc(scores, labels),
        "average_precision": average_precision(scores, labels),
        "log_loss": log_loss(scores, labels),
    }


def _between(days: Days, first: int, end: int) -> NDArray[np.bool_]:
    return (days >= first) & (days < end)
