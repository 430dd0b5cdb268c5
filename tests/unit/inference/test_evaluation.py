"""Metrics against naive definitions and scikit-learn, the Handbook's protocol against its prose."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from inference.evaluation import (
    Split,
    average_precision,
    card_precision_top_k,
    classification_metrics,
    log_loss,
    roc_auc,
)

Rows = list[tuple[int, int, float, bool]]

# Few distinct values, so that days, customers and scores collide.
ROWS = st.lists(
    st.tuples(
        st.integers(0, 20), st.integers(0, 6), st.sampled_from([0.1, 0.2, 0.5, 0.9]), st.booleans()
    ),
    max_size=80,
)


def _columns(rows: Rows) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    days, customers, scores, labels = zip(*rows, strict=True) if rows else ((), (), (), ())
    return (
        np.array(days, dtype=np.int64),
        np.array(customers, dtype=np.int64),
        np.array(scores, dtype=np.float64),
        np.array(labels, dtype=np.bool_),
    )


def _naive_card_precision(rows: Rows, k: int) -> float:
    known: set[int] = set()
    precisions = []
    for day in sorted({row[0] for row in rows}):
        cards: dict[int, tuple[float, bool]] = {}
        for _, customer, score, label in (row for row in rows if row[0] == day):
            if customer not in known:
                highest, fraud = cards.get(customer, (-1.0, False))
                cards[customer] = (max(highest, score), fraud or label)
        ranked = sorted(cards, key=lambda customer: (-cards[customer][0], customer))[:k]
        hits = [customer for customer in ranked if cards[customer][1]]
        known.update(hits)
        precisions.append(len(hits) / k)
    return sum(precisions) / len(precisions)


@given(ROWS.filter(bool), st.integers(1, 4))
def test_card_precision_is_what_its_definition_says(rows: Rows, k: int) -> None:
    got = card_precision_top_k(*_columns(rows), k=k)
    assert got == pytest.approx(_naive_card_precision(rows, k), abs=1e-12)


@pytest.mark.parametrize("seed", range(20))
def test_rows_of_known_compromised_customers_are_not_tested(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = [
        (int(day), int(customer), 0.0, bool(fraud))
        for day, customer, fraud in zip(
            rng.integers(0, 20, 300), rng.integers(0, 40, 300), rng.random(300) < 0.2, strict=True
        )
    ]
    split = Split(train_start_day=2, train_days=3, delay_days=4, test_days=5)
    expected = []
    for day, customer, _, _ in rows:
        i = day - (2 + 3 + 4)
        known = any(
            label and c == customer and (2 <= d < 5 or 5 <= d <= 2 + 3 + i - 1)
            for d, c, _, label in rows
        )
        expected.append(0 <= i < 5 and not known)
    days, customers, _, labels = _columns(rows)
    assert split.test_rows(days, customers, labels).tolist() == expected


def test_customers_may_be_named_by_text() -> None:
    days = np.array([0, 0, 1, 1])
    customers = np.array(["b", "a", "b", "c"])
    labels = np.array([True, False, True, True])
    scores = np.array([0.9, 0.8, 0.7, 0.6])
    # Day 0 finds b, so day 1 looks at c alone.
    assert card_precision_top_k(days, customers, scores, labels, k=1) == 1.0


@given(ROWS)
def test_metrics_agree_with_scikit_learn(rows: Rows) -> None:
    _, _, scores, labels = _columns(rows)
    ours = classification_metrics(scores, labels)
    if len(set(labels.tolist())) < 2:
        assert math.isnan(ours["roc_auc"])
        return
    assert ours["roc_auc"] == pytest.approx(sk.roc_auc_score(labels, scores), abs=1e-12)
    assert ours["average_precision"] == pytest.approx(
        sk.average_precision_score(labels, scores), abs=1e-12
    )
    assert ours["log_loss"] == pytest.approx(sk.log_loss(labels, scores), abs=1e-12)


def test_certain_and_wrong_is_very_bad_and_finite() -> None:
    loss = log_loss(np.array([0.0, 1.0], dtype=np.float32), np.array([True, False]))
    assert 30 < loss < 40


def test_nothing_to_judge_is_not_a_number() -> None:
    nothing, no_label = np.empty(0), np.empty(0, dtype=np.bool_)
    values = (
        roc_auc(nothing, no_label),
        average_precision(nothing, no_label),
        log_loss(nothing, no_label),
        card_precision_top_k(no_label.astype(np.int64), nothing, nothing, no_label),
    )
    assert all(math.isnan(value) for value in values)
