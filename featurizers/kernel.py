"""The window kernel: the one piece of code that turns logs into features, online and offline."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featurizers.compiled import frozen
from featurizers.grouping import group
from featurizers.plan import WindowPlan
from featurizers.windows import Logs, Rows, windows

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogRows:
    """Logs of one entity, and the rows to be evaluated over them.

    Attributes
    ----------
    words:
        int64, the entries of all logs; other words may stand between logs.
    starts, lengths:
        int64[k]: the word at which each log's first entry begins, and its number of entries.
    keys, positions, times_ms:
        int64[n]: per row its log, how many of the log's entries it sees, and its event time.
    """

    words: Ints
    starts: Ints
    lengths: Ints
    keys: Ints
    positions: Ints
    times_ms: Ints


def fill_windows(plan: WindowPlan, rows: LogRows, out: Floats, *, threads: int = 1) -> None:
    """Writes the window features of every row into the plan's columns of `out` (float64[n, f])."""
    if len(rows.keys) == 0:
        return
    order, row_starts = group(rows.keys, len(rows.starts))
    logs = Logs(frozen(rows.words), frozen(rows.starts), frozen(rows.lengths))
    wanted = Rows(frozen(order), frozen(row_starts), frozen(rows.positions), frozen(rows.times_ms))
    if threads == 1:
        windows(plan.arrays, logs, wanted, 0, len(rows.starts), out)
        return
    with ThreadPoolExecutor(threads) as pool:
        shares = pairwise(_shares(rows.lengths, threads))
        futures = [pool.submit(windows, plan.arrays, logs, wanted, a, b, out) for a, b in shares]
        for future in futures:
            future.result()


def warm(plan: WindowPlan) -> None:
    """Compiles (or loads) every function for the array layouts of live use; seconds at most."""
    one = np.ones(1, np.int64)
    rows = LogRows(np.zeros(plan.layout.width, np.int64), one - 1, one, one - 1, one, one)
    fill_windows(plan, rows, np.zeros((1, int(plan.arrays.features[:, 4].max()) + 1)))


def _shares(lengths: Ints, n: int) -> list[int]:
    """Edges that cut the logs into n runs of about as many entries."""
    total = np.cumsum(lengths)
    wanted = [total[-1] * i / n for i in range(1, n)]
    return [0, *(int(np.searchsorted(total, w)) for w in wanted), len(lengths)]
