"""Rows by group, in the order in which they came."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurizers.compiled import compiled, frozen

Ints = NDArray[np.int64]


def group(codes: Ints, n_groups: int) -> tuple[Ints, Ints]:
    """A stable counting sort: the order of the rows by code, and where each code's rows start.

    Returns int64[n] and int64[n_groups + 1]. Every code is in `range(n_groups)`.
    """
    order, starts = _group(frozen(codes), n_groups)
    return order, starts


@compiled
def _group(codes: Ints, n_groups: int) -> tuple[Ints, Ints]:
    starts = np.zeros(n_groups + 1, np.int64)
    for code in codes:
        starts[code + 1] += 1
    for g in range(n_groups):
        starts[g + 1] += starts[g]
    cursor = starts[:-1].copy()
    order = np.empty(len(codes), np.int64)
    for i in range(len(codes)):
        order[cursor[codes[i]]] = i
        cursor[codes[i]] += 1
    return order, starts
