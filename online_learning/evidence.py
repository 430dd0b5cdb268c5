"""Who and what is behind a drift: a bounded memory of recent rows, asked when an alert is made."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from online_learning.alerts import Evidence, KeyShare, finite
from online_learning.batches import FloatArray
from online_learning.detectors.bins import Bins, Histogram, stability
from online_learning.detectors.port import Evaluation

MAX_ROWS = 8192
MAX_KEYS = 5
MAX_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class _Block:
    ids: Sequence[str]
    keys: Sequence[str]
    values: FloatArray


class RecentRows:
    """The newest rows, each with id, key and float64[k] values.

    Holds the last `max_rows` at least, where so many came, and at most as many again.
    """

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self._max_rows = max_rows
        self._blocks: deque[_Block] = deque()
        self._n = 0

    def add(self, ids: Sequence[str], keys: Sequence[str], values: FloatArray) -> None:
        """Remember n rows, values float64[n, k], and forget what has become too much."""
        if not len(ids):
            return
        cut = slice(-self._max_rows, None)
        self._blocks.append(_Block(ids[cut], keys[cut], values[cut]))
        self._n += len(self._blocks[-1].ids)
        while self._n - len(self._blocks[0].ids) >= self._max_rows:
            self._n -= len(self._blocks.popleft().ids)

    def column(self, number: int) -> FloatArray:
        """float64[n]: one value of every row, oldest first."""
        if not self._blocks:
            return np.zeros(0)
        return np.concatenate([block.values[:, number] for block in self._blocks])

    def blame(self, weights: FloatArray) -> tuple[list[KeyShare], list[str]]:
        """The keys with the greatest share of the weights (float64[n]), and the heaviest rows."""
        total = float(weights.sum())
        if total <= 0:
            return [], []
        ids = [i for block in self._blocks for i in block.ids]
        keys = [k for block in self._blocks for k in block.keys]
        by_key: dict[str, float] = {}
        for key, weight in zip(keys, weights.tolist(), strict=True):
            by_key[key] = by_key.get(key, 0.0) + weight
        ranked = sorted(by_key.items(), key=lambda item: (-item[1], item[0]))[:MAX_KEYS]
        heaviest = np.argsort(-weights, kind="stable")[:MAX_EXAMPLES].tolist()
        examples = [ids[i] for i in heaviest if weights[i] > 0]
        return [KeyShare(key, weight / total) for key, weight in ranked if weight > 0], examples


def distribution_evidence(evaluation: Evaluation, rows: RecentRows, column: int) -> Evidence:
    """Evidence of a moved distribution: rows weigh as their bin has gained in the index."""
    weights = np.zeros(0)
    if evaluation.reference is not None and evaluation.current is not None:
        weights = _gains(evaluation.reference, evaluation.current, rows.column(column))
    keys, examples = rows.blame(weights)
    return Evidence(
        measure="psi",
        effect=evaluation.effect,
        threshold=evaluation.threshold,
        baseline_mean=finite(evaluation.baseline_mean),
        current_mean=finite(evaluation.current_mean),
        reference=evaluation.reference,
        current=evaluation.current,
        top_keys=keys,
        example_ids=examples,
    )


def loss_evidence(evaluation: Evaluation, rows: RecentRows, nats: float) -> Evidence:
    """Evidence of a risen loss: rows weigh by their loss, of which `nats` is the unit."""
    keys, examples = rows.blame(rows.column(0))
    return Evidence(
        measure="relative_increase",
        effect=evaluation.effect,
        threshold=evaluation.threshold,
        baseline_mean=finite(evaluation.baseline_mean * nats),
        current_mean=finite(evaluation.current_mean * nats),
        reference=None,
        current=None,
        top_keys=keys,
        example_ids=examples,
    )


def _gains(reference: Histogram, current: Histogram, values: FloatArray) -> FloatArray:
    counts = [np.array([*h.counts, h.missing], dtype=np.int64) for h in (reference, current)]
    grown = counts[1] * counts[0].sum() > counts[0] * counts[1].sum()
    per_row = np.where(grown, stability(*counts), 0.0) / np.maximum(counts[1], 1)
    weights: FloatArray = per_row[Bins(np.array(current.edges)).index(values)]
    return weights
