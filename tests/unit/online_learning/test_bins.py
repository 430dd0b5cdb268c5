"""Bins of awkward features, and the index over them."""

from __future__ import annotations

import numpy as np
import pytest

from online_learning.batches import FloatArray
from online_learning.detectors.bins import Bins, stability


def index_of(reference: FloatArray, current: FloatArray) -> float:
    bins = Bins.of(reference)
    return float(stability(bins.count(reference), bins.count(current)).sum())


RNG = np.random.default_rng(3)
NORMAL = RNG.normal(size=8000)
ZEROS = np.where(RNG.random(8000) < 0.95, 0.0, RNG.random(8000))
FLAG = (RNG.random(8000) < 0.02).astype(float)
COUNTS = RNG.poisson(3, 8000).astype(float)
CONSTANT = np.full(8000, 7.25)


@pytest.mark.parametrize("values", [NORMAL, ZEROS, FLAG, COUNTS], ids=str)
def test_halves_of_one_sample_are_alike(values: FloatArray) -> None:
    assert index_of(values[:4000], values[4000:]) < 0.02


@pytest.mark.parametrize(
    ("reference", "current"),
    [
        (NORMAL, NORMAL + 0.5),
        (NORMAL, np.full(500, NORMAL[0])),
        (CONSTANT, CONSTANT + 1e-9),
        (CONSTANT, np.where(FLAG == 1, 0.0, CONSTANT)[:1000] - (RNG.random(1000) < 0.2)),
        (FLAG, 1 - FLAG),
        (FLAG, np.full(500, 0.5)),
        (ZEROS, np.zeros(4000)),
        (ZEROS, np.where(ZEROS > 0, ZEROS / 10, 0.0)),
        (COUNTS, COUNTS + 1),
        (NORMAL, np.where(RNG.random(8000) < 0.2, np.nan, NORMAL)),
        (NORMAL, np.where(RNG.random(8000) < 0.1, np.inf, NORMAL)),
    ],
)
def test_what_moved_is_seen(reference: FloatArray, current: FloatArray) -> None:
    assert index_of(reference, current) > 0.15


def test_every_value_has_one_bin_and_outside_ones_are_empty_in_the_reference() -> None:
    for reference in (NORMAL, ZEROS, FLAG, COUNTS, CONSTANT):
        bins = Bins.of(reference)
        counts = bins.count(reference)
        assert counts.sum() == len(reference)
        assert (counts[0], counts[-2], counts[-1]) == (0, 0, 0)
        assert len(bins) <= 40
        low, high, gone = bins.index(np.array([-1e12, 1e12, np.nan])).tolist()
        assert (low, high, gone) == (0, len(bins) - 2, len(bins) - 1)
        histogram = bins.histogram(counts)
        assert len(histogram.counts) == len(histogram.edges) + 1


def test_a_reference_of_missing_values_sees_the_first_real_one() -> None:
    missing = np.full(1000, np.nan)
    assert index_of(missing, missing) == 0
    assert index_of(missing, NORMAL) > 1


def test_shares_and_not_counts_are_compared() -> None:
    few = np.array([10, 20, 0, 5])
    assert stability(few, few * 7) == pytest.approx(0)
