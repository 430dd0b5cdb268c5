"""Who and what is blamed for a drift."""

from __future__ import annotations

import numpy as np

from online_learning.detectors import Bins, Evaluation
from online_learning.evidence import RecentRows, distribution_evidence


def test_the_rows_that_moved_are_blamed() -> None:
    rng = np.random.default_rng(1)
    reference = rng.normal(size=5000)
    current = rng.normal(size=1000)
    current[::10] = 50.0
    keys = [("bad" if i % 30 == 0 else f"k{i % 7}") for i in range(1000)]
    rows = RecentRows(max_rows=1000)
    for i in range(0, 1000, 100):
        cut = slice(i, i + 100)
        ids = [f"e{j}" for j in range(i, i + 100)]
        rows.add(ids, keys[cut], np.column_stack([np.zeros(100), current[cut]]))
    bins = Bins.of(reference)
    found = distribution_evidence(
        Evaluation(
            at_ms=1,
            since_ms=0,
            effect=1.0,
            threshold=0.2,
            baseline_mean=0.0,
            current_mean=float("nan"),
            reference=bins.histogram(bins.count(reference)),
            current=bins.histogram(bins.count(current)),
        ),
        rows,
        column=1,
    )
    assert found.top_keys[0].key == "bad"
    assert 0.25 < found.top_keys[0].share < 0.4
    assert len(found.example_ids) == 5
    assert all(int(event[1:]) % 10 == 0 for event in found.example_ids)
    assert found.current_mean is None


def test_only_the_newest_rows_are_remembered() -> None:
    rows = RecentRows(max_rows=100)
    for i in range(50):
        rows.add([f"{i}-{j}" for j in range(30)], ["k"] * 30, np.full((30, 1), float(i)))
    rows.add([], [], np.zeros((0, 1)))
    assert 100 <= len(rows.column(0)) < 130
    assert rows.column(0)[-1] == 49
    rows.add([f"{j}" for j in range(500)], ["k"] * 500, np.zeros((500, 1)))
    assert len(rows.column(0)) == 100
    assert RecentRows().blame(np.zeros(0)) == ([], [])
