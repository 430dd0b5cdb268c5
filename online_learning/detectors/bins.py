"""Bins made from a reference sample, and how far two histograms over them are apart."""

from __future__ import annotations

import msgspec
import numpy as np

from online_learning.batches import FloatArray, IntArray

MAX_QUANTILES = 10
LEAST_SHARE = 1e-4


class Histogram(msgspec.Struct, frozen=True):
    """Counts over bins: counts[i] is of values in (edges[i-1], edges[i]].

    The first count is of values up to the first edge, the last of those beyond the last, so there
    is one count more than edges. A value that fills a share of the reference by itself has a bin
    so narrow that it holds nothing else.
    """

    edges: list[float]
    counts: list[int]
    missing: int


class Bins:
    """Bins that follow a reference sample, with one more for missing values.

    Values that make up a tenth of the reference or more (zeros of a ratio, both sides of a flag, a
    constant) have bins of their own; the rest is cut at its quantiles; and what lies outside the
    reference's range falls into two bins that are empty in it.

    Attributes
    ----------
    edges:
        float64[k], strictly increasing; there are k + 2 bins.
    """

    def __init__(self, edges: FloatArray) -> None:
        self.edges = edges

    @classmethod
    def of(cls, reference: FloatArray, quantiles: int = MAX_QUANTILES) -> Bins:
        """Bins of a reference sample float64[n]; all of it missing gives just the missing bin."""
        finite = reference[np.isfinite(reference)]
        if not len(finite):
            return cls(np.zeros(0))
        values, counts = np.unique(finite, return_counts=True)
        alone = counts >= len(finite) / quantiles
        if len(values) <= quantiles:
            alone[:] = True
        atoms, rest = values[alone], np.repeat(values[~alone], counts[~alone])
        edges = [np.nextafter(atoms, -np.inf), atoms]
        edges.append(np.array([np.nextafter(values[0], -np.inf), values[-1]]))
        if len(rest):
            pieces = max(3, round(quantiles * len(rest) / len(finite)))
            inner = np.arange(1, pieces) / pieces
            edges.append(np.quantile(rest, inner, method="lower"))
        return cls(np.unique(np.concatenate(edges)))

    def __len__(self) -> int:
        return len(self.edges) + 2

    def index(self, values: FloatArray) -> IntArray:
        """int64[n]: the bin of each value; the last bin is that of missing values."""
        found = np.searchsorted(self.edges, values, side="left")
        found[np.isnan(values)] = len(self.edges) + 1
        return found.astype(np.int64)

    def count(self, values: FloatArray) -> IntArray:
        """int64[bins]: how many of the values fall into each bin."""
        return np.bincount(self.index(values), minlength=len(self)).astype(np.int64)

    def histogram(self, counts: IntArray) -> Histogram:
        """Counts over these bins in wire form."""
        return Histogram(self.edges.tolist(), counts[:-1].tolist(), int(counts[-1]))


def stability(reference: IntArray, current: IntArray) -> FloatArray:
    """float64[bins]: what each bin adds to the population stability index; their sum is the index.

    Sum of (q - p) ln(q / p) over the shares p and q, that is Jeffreys' divergence. Every share is
    kept from zero by mixing in `LEAST_SHARE` of each bin.
    """
    shares = []
    for counts in (reference, current):
        total = max(int(counts.sum()), 1)
        shares.append((counts / total + LEAST_SHARE) / (1 + LEAST_SHARE * len(counts)))
    p, q = shares
    terms: FloatArray = (q - p) * np.log(q / p)
    return terms
