"""The window kernel: the one piece of code that turns logs into features, online and offline.

Per log it makes one pass that splits the entries by source and keeps running integer sums, then
finds each window's edges by binary search. A source whose times do not ascend in the log (late
events, labels of differing delay) costs a scan of only those entries that lie between the last
certain "before" and the first certain "after" of an edge. Sums are exact int64; the only floats
are those of the last division.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurizers.compiled import compiled, frozen, inlined
from featurizers.grouping import group
from featurizers.layout import SOURCE_BITS, SOURCE_MASK
from featurizers.plan import COUNT, MEAN, PlanArrays, WindowPlan

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@inlined
def _upper_bound(ascending: Ints, n: int, limit: int) -> int:
    low, high = 0, n
    while low < high:
        middle = (low + high) >> 1
        if ascending[middle] <= limit:
            low = middle + 1
        else:
            high = middle
    return low


class _Logs(NamedTuple):
    words: Ints
    starts: Ints
    lengths: Ints


class _Rows(NamedTuple):
    order: Ints
    starts: Ints
    positions: Ints
    times: Ints


class _Split(NamedTuple):
    """One log, split by source: the first index of every array but `sizes` is the source's code.

    `before[s, i]` counts entries of s among the log's first i; `running[j, i]` is the sum number j
    over the first i entries of its source. `highest` and `lowest` (so far, from here on) are filled
    only for sources that do not ascend.
    """

    sizes: Ints
    ascending: NDArray[np.bool_]
    times: Ints
    before: Ints
    running: Ints
    highest: Ints
    lowest: Ints


@inlined
def _room(plan: PlanArrays, longest: int) -> _Split:
    shape = (plan.n_sources, longest + 1)
    return _Split(
        np.zeros(plan.n_sources, np.int64),
        np.zeros(plan.n_sources, np.bool_),
        np.empty(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros((len(plan.sums), longest + 1), np.int64),
        np.empty(shape, np.int64),
        np.empty(shape, np.int64),
    )


@inlined
def _split(plan: PlanArrays, words: Ints, start: int, length: int, split: _Split) -> None:
    split.sizes[:] = 0
    split.ascending[:] = True
    for i in range(length):
        at = start + i * plan.width
        source = words[at] & SOURCE_MASK
        if source < plan.n_sources:
            place, time = split.sizes[source], words[at] >> SOURCE_BITS
            split.times[source, place] = time
            if place > 0 and time < split.times[source, place - 1]:
                split.ascending[source] = False
            for s in range(len(plan.sums)):
                if plan.sums[s, 0] == source:
                    value = words[at + plan.sums[s, 1]]
                    split.running[s, place + 1] = split.running[s, place] + value
            split.sizes[source] = place + 1
        for s in range(plan.n_sources):
            split.before[s, i + 1] = split.sizes[s]
    for source in range(plan.n_sources):
        if not split.ascending[source]:
            _bracket(source, split)


@inlined
def _bracket(source: int, split: _Split) -> None:
    n, times = split.sizes[source], split.times[source]
    highest, lowest = split.highest[source], split.lowest[source]
    highest[0], lowest[n - 1] = times[0], times[n - 1]
    for i in range(1, n):
        highest[i] = max(highest[i - 1], times[i])
        lowest[n - 1 - i] = min(lowest[n - i], times[n - 1 - i])


@inlined
def _cut(
    plan: PlanArrays, split: _Split, source: int, limit: int, visible: int, totals: Ints
) -> int:
    """How many of a source's first `visible` entries have `time <= limit`, and their sums."""
    times, ascending = split.times[source], split.ascending[source]
    count = _upper_bound(times if ascending else split.highest[source], visible, limit)
    for s in range(len(plan.sums)):
        if plan.sums[s, 0] == source:
            totals[s] = split.running[s, count]
    if ascending:
        return count
    unsure = min(visible, _upper_bound(split.lowest[source], split.sizes[source], limit))
    for i in range(count, unsure):
        if times[i] <= limit:
            count += 1
            for s in range(len(plan.sums)):
                if plan.sums[s, 0] == source:
                    totals[s] += split.running[s, i + 1] - split.running[s, i]
    return count


@inlined
def _values(plan: PlanArrays, counts: Ints, totals: Ints, out: Floats) -> None:
    for f in range(len(plan.features)):
        upper, lower, total = plan.features[f, 1], plan.features[f, 2], plan.features[f, 3]
        count = counts[upper] - counts[lower]
        if count == 0:
            value = plan.defaults[f]
        elif plan.features[f, 0] == COUNT:
            value = float(count)
        elif plan.features[f, 0] == MEAN:
            value = (totals[upper, total] - totals[lower, total]) / count / plan.scales[f]
        else:
            value = (totals[upper, total] - totals[lower, total]) / plan.scales[f]
        out[plan.features[f, 4]] = value


@compiled
def _windows(
    plan: PlanArrays, logs: _Logs, rows: _Rows, first_key: int, last_key: int, out: Floats
) -> None:
    longest = 0
    for k in range(first_key, last_key):
        longest = max(longest, logs.lengths[k])
    split = _room(plan, longest)
    counts = np.zeros(len(plan.cuts), np.int64)
    totals = np.zeros((len(plan.cuts), len(plan.sums)), np.int64)
    for k in range(first_key, last_key):
        if rows.starts[k] == rows.starts[k + 1]:
            continue
        _split(plan, logs.words, logs.starts[k], logs.lengths[k], split)
        for r in range(rows.starts[k], rows.starts[k + 1]):
            row = rows.order[r]
            for c in range(len(plan.cuts)):
                source = plan.cuts[c, 0]
                visible = split.before[source, rows.positions[row]]
                limit = rows.times[row] - plan.cuts[c, 1]
                counts[c] = _cut(plan, split, source, limit, visible, totals[c])
            _values(plan, counts, totals, out[row])


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
    logs = _Logs(frozen(rows.words), frozen(rows.starts), frozen(rows.lengths))
    wanted = _Rows(frozen(order), frozen(row_starts), frozen(rows.positions), frozen(rows.times_ms))
    if threads == 1:
        _windows(plan.arrays, logs, wanted, 0, len(rows.starts), out)
        return
    with ThreadPoolExecutor(threads) as pool:
        shares = pairwise(_shares(rows.lengths, threads))
        futures = [pool.submit(_windows, plan.arrays, logs, wanted, a, b, out) for a, b in shares]
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
