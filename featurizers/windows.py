"""The compiled part of the window kernel, in one module so that it is compiled anew as a whole.

Per log it makes one pass that splits the entries by source and keeps running integer sums, then
finds each window's edges by binary search. A source whose times do not ascend in the log (late
events, labels of differing delay) costs a scan of only those entries that lie between the last
certain "before" and the first certain "after" of an edge. Sums are exact int64; the only floats
are those of the last division.

Counts, sums, means and rates follow from the edges. The other aggregations look at every entry of
their window, and only they pay for it.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurizers.compiled import compiled, inlined
from featurizers.definitions import EVENTS
from featurizers.layout import SOURCE_BITS, SOURCE_MASK, source_code
from featurizers.plan import (
    COUNT,
    DISTINCT,
    FIRST,
    LAST,
    MEAN,
    MIN,
    RATE,
    SECONDS_SINCE_LAST,
    STD,
    VARIANCE,
    PlanArrays,
)

_HOUR_MS = 3_600_000
_EVENTS = source_code(EVENTS)
_LIMB_BITS = 18
_LIMB = (1 << _LIMB_BITS) - 1

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


class Logs(NamedTuple):
    """Entries of all logs; per log, the word at which it begins and its number of entries."""

    words: Ints
    starts: Ints
    lengths: Ints


class Rows(NamedTuple):
    """Rows grouped by log: of each the entries that it sees, and its event time in ms."""

    order: Ints
    starts: Ints
    positions: Ints
    times: Ints


class _Split(NamedTuple):
    """One log, split by source: the first index of every array but `sizes` is the source's code.

    `before[s, i]` counts entries of s among the log's first i; `running[j, i]` is the sum number j
    over the first i entries of its source, whose value is thus the difference of two. `highest` and
    `lowest` (so far, from here on) are filled only for sources that do not ascend. `inside` has
    room for the places of a window's entries, or for their values.
    """

    sizes: Ints
    ascending: NDArray[np.bool_]
    times: Ints
    before: Ints
    running: Ints
    highest: Ints
    lowest: Ints
    inside: Ints


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
        np.empty(longest + 1, np.int64),
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
    for f in range(plan.n_by_cuts):
        upper, lower, total = plan.features[f, 1], plan.features[f, 2], plan.features[f, 3]
        count = counts[upper] - counts[lower]
        if count == 0:
            value = plan.defaults[f]
        elif plan.features[f, 0] == COUNT:
            value = float(count)
        elif plan.features[f, 0] == MEAN:
            value = (totals[upper, total] - totals[lower, total]) / count / plan.scales[f]
        elif plan.features[f, 0] == RATE:
            value = count * _HOUR_MS / plan.scales[f]
        else:
            value = (totals[upper, total] - totals[lower, total]) / plan.scales[f]
        out[plan.features[f, 4]] = value


@inlined
def _gather(plan: PlanArrays, split: _Split, f: int, time: int, position: int) -> int:
    """How many entries a feature's window holds; their places among their source's go to `inside`.

    An event is not an earlier one of itself: `SECONDS_SINCE_LAST` passes over its own entry, which
    is the last that it sees.
    """
    upper, lower = plan.features[f, 1], plan.features[f, 2]
    source, times = plan.cuts[upper, 0], split.times[plan.cuts[upper, 0]]
    newest, oldest = time - plan.cuts[upper, 1], time - plan.cuts[lower, 1]
    visible, size = split.before[source, position], split.sizes[source]
    ascending = split.ascending[source]
    begin = _upper_bound(times if ascending else split.highest[source], visible, oldest)
    end = min(visible, _upper_bound(times if ascending else split.lowest[source], size, newest))
    if plan.features[f, 0] == SECONDS_SINCE_LAST and source == _EVENTS:
        end = min(end, visible - 1)
    if ascending and plan.features[f, 0] == FIRST:
        end = min(end, begin + 1)
    elif ascending and plan.features[f, 0] in (LAST, SECONDS_SINCE_LAST):
        begin = max(begin, end - 1)
    n = 0
    for i in range(begin, end):
        if oldest < times[i] <= newest:
            split.inside[n] = i
            n += 1
    return n


@inlined
def _foremost(kind: int, times: Ints, running: Ints, inside: Ints, n: int) -> int:
    """The place of the least or greatest value, or of the first or last in event time.

    Of several at one time, the first is the one that arrived first, the last the one that arrived
    last.
    """
    by_time = kind in (FIRST, LAST, SECONDS_SINCE_LAST)
    sign = -1 if kind in (MIN, FIRST) else 1
    best: int = inside[0]
    highest = 0
    for k in range(n):
        i = inside[k]
        rank = sign * (times[i] if by_time else running[i + 1] - running[i])
        if k == 0 or rank > highest or (rank == highest and kind == LAST):
            best, highest = i, rank
    return best


@inlined
def _distinct(running: Ints, inside: Ints, n: int) -> int:
    for k in range(n):
        inside[k] = running[inside[k] + 1] - running[inside[k]]
    values = np.sort(inside[:n])
    distinct = 1
    for k in range(1, n):
        distinct += values[k] != values[k - 1]
    return distinct


@inlined
def _centre(running: Ints, inside: Ints, n: int) -> tuple[int, int]:
    """The mean, rounded to a whole number, and what n times that lacks of the sum."""
    high, low = 0, 0
    for k in range(n):
        value = running[inside[k] + 1] - running[inside[k]]
        high += value >> _LIMB_BITS
        low += value & _LIMB
    rest = (high % n << _LIMB_BITS) + low
    mean, rest = (high // n << _LIMB_BITS) + rest // n, rest % n
    if 2 * rest > n:
        return mean + 1, rest - n
    return mean, rest


@inlined
def _squares(running: Ints, inside: Ints, n: int, centre: int) -> float:
    """The sum of squared distances to `centre`, exact before it is rounded to a float."""
    s0, s1, s2, s3, s4 = 0, 0, 0, 0, 0
    for k in range(n):
        d = running[inside[k] + 1] - running[inside[k]] - centre
        a, b, c = d & _LIMB, d >> _LIMB_BITS & _LIMB, d >> 2 * _LIMB_BITS
        s0 += a * a
        s1 += 2 * a * b
        s2 += b * b + 2 * a * c
        s3 += 2 * b * c
        s4 += c * c
    s1, s0 = s1 + (s0 >> _LIMB_BITS), s0 & _LIMB
    s2, s1 = s2 + (s1 >> _LIMB_BITS), s1 & _LIMB
    s3, s2 = s3 + (s2 >> _LIMB_BITS), s2 & _LIMB
    s4, s3 = s4 + (s3 >> _LIMB_BITS), s3 & _LIMB
    lower, upper = s1 << _LIMB_BITS | s0, s3 << _LIMB_BITS | s2
    return s4 * 2.0**72 + (upper * 2.0**36 + lower)


@inlined
def _variance(running: Ints, inside: Ints, n: int) -> float:
    """The population variance, from exact distances to the mean rounded to a whole number.

    Squares of distances (54 bits) do not fit an int64, so they are summed in limbs of 18 bits, and
    the mean in two halves: right for 2**24 entries of any value. Against a whole number next to
    the mean at most half of the sum is taken off again, so no digits cancel.
    """
    centre, rest = _centre(running, inside, n)
    return (_squares(running, inside, n, centre) - rest * rest / n) / n


@inlined
def _looked_up(plan: PlanArrays, split: _Split, f: int, time: int, position: int) -> float:
    n = _gather(plan, split, f, time, position)
    value: float = plan.defaults[f]
    if n == 0:
        return value
    kind, scale = plan.features[f, 0], plan.scales[f]
    times = split.times[plan.cuts[plan.features[f, 1], 0]]
    running = times if kind == SECONDS_SINCE_LAST else split.running[plan.features[f, 3]]
    if kind == DISTINCT:
        value = _distinct(running, split.inside, n)
    elif kind == VARIANCE:
        value = _variance(running, split.inside, n) / scale / scale
    elif kind == STD:
        value = math.sqrt(_variance(running, split.inside, n)) / scale
    else:
        best = _foremost(kind, times, running, split.inside, n)
        if kind == SECONDS_SINCE_LAST:
            value = (time - times[best]) / scale
        else:
            value = (running[best + 1] - running[best]) / scale
    return value


@compiled
def windows(
    plan: PlanArrays, logs: Logs, rows: Rows, first_key: int, last_key: int, out: Floats
) -> None:
    """Writes the features of all rows of logs `first_key` to `last_key` - 1 into `out`."""
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
            for f in range(plan.n_by_cuts, len(plan.features)):
                value = _looked_up(plan, split, f, rows.times[row], rows.positions[row])
                out[row, plan.features[f, 4]] = value
