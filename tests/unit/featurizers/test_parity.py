from __future__ import annotations

import numpy as np
import pytest

from featurizers.parity import MAX_EXAMPLES, Difference, compare


def test_every_differing_value_is_counted_and_the_first_are_shown() -> None:
    left = np.array([[1.0, 2.0], [np.nan, np.inf], [5.0, 6.0]])
    right = np.array([[1.0, 2.5], [np.nan, np.inf], [np.nan, 6.0]])
    report = compare(["a", "b", "c"], ["f", "g"], left, right)
    assert (report.values_compared, report.values_differing) == (6, 2)
    assert report.max_abs_difference == np.inf
    assert report.differing_by_feature == {"f": 1, "g": 1}
    assert report.examples[0] == Difference("a", "g", 2.0, 2.5)
    assert report.examples[1].id == "c"


def test_a_tolerance_forgives_small_differences_only() -> None:
    left, right = np.zeros((1, 2)), np.array([[1e-9, 2e-9]])
    report = compare(["a"], ["f", "g"], left, right, tolerance=1e-9)
    assert report.differing_by_feature == {"f": 0, "g": 1}
    assert report.max_abs_difference == 2e-9


def test_examples_are_bounded_and_nothing_compared_is_no_difference() -> None:
    n = 1000
    many = compare([str(i) for i in range(n)], ["f"], np.zeros((n, 1)), np.ones((n, 1)))
    assert many.values_differing == n
    assert len(many.examples) == MAX_EXAMPLES
    none = compare([], ["f"], np.zeros((0, 1)), np.zeros((0, 1)))
    assert (none.values_differing, none.max_abs_difference) == (0, 0.0)


def test_matrices_must_fit() -> None:
    with pytest.raises(ValueError, match="do not fit"):
        compare(["a"], ["f"], np.zeros((1, 2)), np.zeros((1, 2)))


def test_a_difference_carries_the_first_reason_that_explains_it() -> None:
    online, offline = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[0.0, 2.0], [0.0, 0.0]])
    explained = {
        "late": np.array([[True, True], [False, False]]),
        "cut": np.array([[True, False], [True, False]]),
        "never": np.array([[True, False], [False, False]]),
    }
    report = compare(["a", "b"], ["f", "g"], online, offline, explained=explained)
    assert [(d.id, d.feature, d.reason) for d in report.examples] == [
        ("a", "f", "late"),
        ("b", "f", "cut"),
        ("b", "g", None),
    ]
    assert report.differing_by_reason == {"late": 1, "cut": 1}
