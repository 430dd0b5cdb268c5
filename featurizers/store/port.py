"""The port to the online store: append a batch's entries, get the touched logs back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from featurizers.layout import EntityLayout

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class EntityEntries:
    """One entity's new entries.

    Attributes
    ----------
    layout:
        How its entries look.
    keys:
        The k distinct keys they belong to.
    counts:
        int64[k], how many entries each key gets: at least 1, at most `MAX_ENTRIES_PER_KEY`.
    entries:
        int64[n, layout.width], those of the first key first, each key's in arrival order.
    n_read:
        The logs of the first `n_read` keys are wanted back; the others are only appended to.
    """

    layout: EntityLayout
    keys: Sequence[str]
    counts: Ints
    entries: Ints
    n_read: int


MAX_ENTRIES_PER_KEY = 65_535
"""What one request may bring for one key."""

Request = Sequence[EntityEntries]


@dataclass(frozen=True, slots=True)
class EntityLogs:
    """The logs of the read keys of an `EntityEntries`, after its entries were appended.

    Attributes
    ----------
    words:
        int64, read-only: the entries of all logs. Other words may stand between two logs.
    starts, lengths:
        int64[n_read]: the word at which each key's first entry begins, and how many there are.
    positions:
        int64[n], in the order of the entries sent: how many entries of its log each one sees, its
        own included. A repeat sees what it saw when it first came.
    repeated:
        bool[n]: whether the entry (by source and identity) stood there before.
    """

    words: Ints
    starts: Ints
    lengths: Ints
    positions: Ints
    repeated: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Logs:
    """What a request brings back: logs per entity, in its order.

    `cut_by_size` counts logs that lost entries still needed because they held too many.
    """

    entities: tuple[EntityLogs, ...]
    cut_by_size: int = 0


class Pending(Protocol):
    """A request that was sent."""

    def result(self) -> Logs:
        """Waits for the answer. Raises `StoreError`; may be called again."""
        ...


class FeatureStore(Protocol):
    """Logs by entity and key.

    A request is atomic for its readers and changes nothing when it is repeated: an entry whose
    source and identity stand in the log is not appended again, also within one request. Entries
    are dropped only from the front of a log, and only those older than `layout.retention_ms`
    before what its last entries agree on, or when a log outgrows the store's `max_entries`.
    """

    def submit(self, request: Request) -> Pending:
        """Sends a request and returns without waiting for the answer. Raises `StoreError`."""
        ...

    def read(self, layout: EntityLayout, key: str) -> Ints | None:
        """A log as it stands, int64[n, layout.width] in arrival order; None where there is none.

        For looking, not for serving: nothing changes, neither the log nor its time to live. The
        array is read-only. Raises `StoreError`.
        """
        ...

    def check(self) -> None:
        """Returns when the store is reachable and can serve requests; else raises `StoreError`."""
        ...

    def close(self) -> None:
        """Gives connections back. The store may be used again afterwards."""
        ...
