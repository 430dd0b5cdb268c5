"""The same features from files: the same entries, the same logs, the same kernel."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import LABELS, FeatureSet
from featurizers.entries import KeyedEntries, keyed_entries
from featurizers.errors import FactsError
from featurizers.facts import Facts
from featurizers.kernel import LogRows, fill_windows
from featurizers.layout import SOURCE_MASK, EntityLayout
from featurizers.plan import plans_of
from featurizers.points import fill_points

Ints = NDArray[np.int64]


def compute(
    features: FeatureSet,
    events: Facts,
    labels: Facts | None = None,
    label_known_at_ms: Ints | None = None,
    *,
    threads: int = 1,
) -> NDArray[np.float64]:
    """The features of every event as the online path gives them when records arrive in time order.

    An event arrives at its event time, a label when it becomes known, before an event of the same
    millisecond; records of one source and millisecond arrive in the order given. An event given
    twice has the features of its first arrival, a label given twice counts once.

    Parameters
    ----------
    events, labels:
        In any order; labels only where features read them.
    label_known_at_ms:
        int64[labels], when each label became known; their event times if absent.
    threads:
        How many threads compute; entities are independent of each other.

    Returns
    -------
    float64[events, features], rows in the order of `events`, columns in that of the set.

    Raises
    ------
    FactsError
        The records do not fit the feature set.
    """
    out = np.empty((len(events), len(features.features)))
    fill_points(features, events, out)
    if len(events) == 0:
        return out
    for plan in plans_of(features):
        arrival = arrival_times(plan.layout, events, labels, label_known_at_ms)
        logs = keyed_entries(plan.layout, events, labels, arrival)
        fill_windows(plan, _rows(logs, events), out, threads=threads)
    return out


def arrival_times(
    layout: EntityLayout, events: Facts, labels: Facts | None, known_at_ms: Ints | None
) -> Ints:
    """int64[n], when the records of `keyed_entries` arrive: labels (where kept), then events."""
    if labels is None or LABELS not in layout.sources:
        return events.times_ms
    known = labels.times_ms if known_at_ms is None else known_at_ms
    if len(known) != len(labels):
        raise FactsError(f"label_known_at_ms has {len(known)} times for {len(labels)} labels")
    return np.concatenate([known, events.times_ms])


def _rows(logs: KeyedEntries, events: Facts) -> LogRows:
    kept, counts, seen = _without_repeats(logs)
    positions = np.empty(len(logs.order), np.int64)
    positions[logs.order] = seen
    return LogRows(
        words=kept.reshape(-1),
        starts=logs.layout.width * (np.cumsum(counts) - counts),
        lengths=counts,
        keys=logs.codes[logs.n_labels :],
        positions=positions[logs.n_labels :],
        times_ms=events.times_ms,
    )


def _without_repeats(logs: KeyedEntries) -> tuple[Ints, Ints, Ints]:
    """The entries that logs keep, how many each, and what every entry sees of its log."""
    counts = np.diff(logs.starts)
    keys = np.repeat(np.arange(len(counts)), counts)
    first = _first_of_same(logs, keys)
    fresh = first == np.arange(len(first))
    so_far = np.cumsum(fresh)
    before = np.concatenate([[0], so_far])[logs.starts]
    seen = (so_far - before[keys])[first]
    if fresh.all():
        return logs.entries, counts, seen
    return logs.entries[fresh], np.diff(before), seen


def _first_of_same(logs: KeyedEntries, keys: Ints) -> Ints:
    """int64[n]: for every entry the first of its log with the same source and identity."""
    first = np.arange(len(keys))
    source = logs.entries[:, 0] & SOURCE_MASK
    mixed = logs.entries[:, 1] ^ (source << 60)  # an event and its label are not twins
    by_mixed = np.argsort(mixed)
    twins = by_mixed[_in_a_run(mixed[by_mixed])]
    if len(twins) == 0:
        return first
    twins = twins[np.lexsort((twins, source[twins], keys[twins], mixed[twins]))]
    same = np.stack([mixed[twins], keys[twins], source[twins]])
    opens = np.concatenate([[True], np.any(same[:, 1:] != same[:, :-1], axis=0)])
    first[twins] = twins[np.flatnonzero(opens)[np.cumsum(opens) - 1]]
    return first


def _in_a_run(ascending: Ints) -> NDArray[np.bool_]:
    equal = ascending[1:] == ascending[:-1]
    run: NDArray[np.bool_] = np.concatenate([equal, [False]]) | np.concatenate([[False], equal])
    return run
