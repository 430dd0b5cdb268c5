"""Warms an online store from history, so that a worker starts with full windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import FeatureSet
from featurizers.entries import KeyedEntries, keyed_entries
from featurizers.facts import Facts
from featurizers.layout import SOURCE_BITS, layouts_of
from featurizers.offline import arrival_times
from featurizers.store.port import EntityEntries, FeatureStore

Ints = NDArray[np.int64]

BATCH_ENTRIES = 20_000
"""Entries per request: what the store works on before it serves anybody else."""


def load_history(
    features: FeatureSet,
    store: FeatureStore,
    events: Facts,
    labels: Facts | None = None,
    label_known_at_ms: Ints | None = None,
    *,
    as_of_ms: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Appends history as it stood at a moment, in the order in which it arrived.

    What arrived after `as_of_ms` (by default: after the last event) and what no window can need
    from then on is left out. Loading again changes nothing. The store must not hold later entries
    of the same entities: history would then stand behind them.

    Parameters
    ----------
    events, labels, label_known_at_ms:
        As for `offline.compute`.
    progress:
        Called after every request with the entries sent so far and those to send.

    Returns
    -------
    How many entries were new to the store.

    Raises
    ------
    FactsError, StoreError
    """
    if len(events) == 0 and as_of_ms is None:
        return 0
    as_of = int(events.times_ms.max()) if as_of_ms is None else as_of_ms
    parts: list[EntityEntries] = []
    for layout in layouts_of(features):
        arrival = arrival_times(layout, events, labels, label_known_at_ms)
        logs = keyed_entries(layout, events, labels, arrival)
        times = logs.entries[:, 0] >> SOURCE_BITS
        needed = (arrival[logs.order] <= as_of) & (times > as_of - layout.retention_ms)
        parts += _requests(logs, needed)
    total, done, new = sum(len(p.entries) for p in parts), 0, 0
    for part in parts:
        (appended,) = store.submit([part]).result().entities
        new += int((~appended.repeated).sum())
        done += len(part.entries)
        if progress is not None:
            progress(done, total)
    return new


def _requests(logs: KeyedEntries, needed: NDArray[np.bool_]) -> Iterator[EntityEntries]:
    """The needed entries in runs of whole keys, of at most `BATCH_ENTRIES`."""
    counts = np.diff(np.concatenate([[0], np.cumsum(needed)])[logs.starts])
    entries = logs.entries[needed]
    keys: list[str] = []
    sizes: list[int] = []
    sent = held = 0
    for key, count in zip(logs.keys, counts.tolist(), strict=True):
        left = count
        while left:
            taken = min(left, BATCH_ENTRIES - held)
            keys.append(key)
            sizes.append(taken)
            left, held = left - taken, held + taken
            if held == BATCH_ENTRIES:
                yield _request(logs, keys, sizes, entries[sent : sent + held])
                sent, held, keys, sizes = sent + held, 0, [], []
    if held:
        yield _request(logs, keys, sizes, entries[sent:])


def _request(logs: KeyedEntries, keys: list[str], sizes: list[int], entries: Ints) -> EntityEntries:
    return EntityEntries(logs.layout, keys, np.array(sizes, dtype=np.int64), entries, n_read=0)
