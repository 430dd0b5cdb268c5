"""Records of a batch or a file as one entity's log entries, grouped by key."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import LABELS
from featurizers.facts import Facts
from featurizers.grouping import group
from featurizers.kernel import LogRows
from featurizers.layout import EntityLayout
from featurizers.store.port import EntityEntries, EntityLogs

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class KeyedEntries:
    """n records (labels, then events) as entries of one entity's logs.

    Attributes
    ----------
    keys:
        The k distinct keys: first the `n_event_keys` that have an event.
    codes:
        int64[n], the number of each record's key.
    order:
        int64[n], the records grouped by key, each key's in arrival order.
    starts:
        int64[k + 1], where each key's records begin in `order`.
    entries:
        int64[n, width], in the order of `order`.
    n_labels:
        How many of the n records are labels.
    """

    layout: EntityLayout
    keys: list[str]
    codes: Ints
    order: Ints
    starts: Ints
    entries: Ints
    n_labels: int
    n_event_keys: int

    def request(self) -> EntityEntries:
        """What a store request says of these entries: only logs that events look at come back."""
        counts = np.diff(self.starts)
        return EntityEntries(self.layout, self.keys, counts, self.entries, self.n_event_keys)

    def repeated_events(self, logs: EntityLogs) -> NDArray[np.bool_]:
        """bool[events], whether each event stood in its log before."""
        repeated = np.empty(len(self.order), np.bool_)
        repeated[self.order] = logs.repeated
        return repeated[self.n_labels :]

    def event_rows(self, logs: EntityLogs, events: Facts) -> LogRows:
        """The rows of the events over the logs that the store returned."""
        positions = np.empty(len(self.order), np.int64)
        positions[self.order] = logs.positions
        return LogRows(
            words=logs.words,
            starts=logs.starts,
            lengths=logs.lengths,
            keys=self.codes[self.n_labels :],
            positions=positions[self.n_labels :],
            times_ms=events.times_ms,
        )


def keyed_entries(
    layout: EntityLayout, events: Facts, labels: Facts | None, arrival: Ints | None = None
) -> KeyedEntries:
    """The entries of a batch for one entity's logs; labels only where its features read them.

    Records arrive labels first, then events, or by `arrival` (int64[n], ascending; ties in that
    order). Raises `FactsError` for records that do not fit the layout.
    """
    numbers: dict[str, int] = {}
    codes = _numbered(layout.keys_of(events), numbers)
    entries = layout.encode(events)
    n_event_keys, n_labels = len(numbers), 0
    if labels is not None and LABELS in layout.sources:
        codes = np.concatenate([_numbered(layout.keys_of(labels), numbers), codes])
        entries = np.concatenate([layout.encode(labels), entries])
        n_labels = len(labels)
    order, starts = _grouped(codes, len(numbers), arrival)
    return KeyedEntries(
        layout, list(numbers), codes, order, starts, entries[order], n_labels, n_event_keys
    )


def _numbered(keys: Iterable[str], numbers: dict[str, int]) -> Ints:
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], dtype=np.int64)


def _grouped(codes: Ints, n_keys: int, arrival: Ints | None) -> tuple[Ints, Ints]:
    if arrival is None:
        return group(codes, n_keys)
    by_arrival = np.argsort(arrival, kind="stable")
    order, starts = group(codes[by_arrival], n_keys)
    return by_arrival[order], starts
