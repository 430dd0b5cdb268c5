"""Features of live micro-batches: one store request, then the kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import FeatureSet
from featurizers.entries import KeyedEntries, keyed_entries
from featurizers.facts import Facts
from featurizers.kernel import fill_windows, warm
from featurizers.plan import WindowPlan, plans_of
from featurizers.points import fill_points
from featurizers.store.port import FeatureStore, Logs, Pending


@dataclass(frozen=True, slots=True)
class FeatureBatch:
    """The features of a micro-batch.

    Attributes
    ----------
    values:
        float64[n, features], in the set's column order.
    repeated:
        bool[n]: the event stood in a log already; its features are those of its first time.
    store_ms, kernel_ms:
        Time spent on the store (packing, waiting, unpacking) and on computing.
    cut_by_size:
        Logs that were cut although entries were still needed, because they had grown too long.
    """

    values: NDArray[np.float64]
    repeated: NDArray[np.bool_]
    store_ms: float
    kernel_ms: float
    cut_by_size: int


class OnlineFeatures:
    """Computes a feature set over the logs of a store; appends what it is given.

    `clock` gives monotonic seconds. Numba compiles (or loads) when this is made, not at the first
    batch; the store is not touched before the first `submit`.
    """

    def __init__(
        self, features: FeatureSet, store: FeatureStore, clock: Callable[[], float]
    ) -> None:
        self.features = features
        self._store = store
        self._clock = clock
        self._plans = plans_of(features)
        for plan in self._plans:
            warm(plan)

    def submit(self, events: Facts, labels: Facts | None = None) -> PendingFeatures:
        """Sends a batch to the store and returns without waiting.

        Labels are appended before the events. Raises `FactsError` before anything is sent, and
        `StoreError`; sending the same batch again is safe and gives the same features.
        """
        started = self._clock()
        parts = [keyed_entries(p.layout, events, labels) for p in self._plans]
        request = [p.request() for p in parts]
        pending = self._store.submit(request) if any(len(p.entries) for p in request) else None
        batch = _Batch(self.features, self._plans, events, parts, pending)
        return PendingFeatures(batch, self._clock, self._clock() - started)


@dataclass(frozen=True, slots=True)
class _Batch:
    features: FeatureSet
    plans: Sequence[WindowPlan]
    events: Facts
    parts: Sequence[KeyedEntries]
    pending: Pending | None


class PendingFeatures:
    """A batch whose logs are on their way."""

    def __init__(self, batch: _Batch, clock: Callable[[], float], spent_s: float) -> None:
        self._batch = batch
        self._clock = clock
        self._spent_s = spent_s

    def result(self) -> FeatureBatch:
        """Waits for the store and computes. Raises `StoreError`; may be called again."""
        batch, started = self._batch, self._clock()
        logs = batch.pending.result() if batch.pending else Logs(())
        read = self._clock()
        n = len(batch.events)
        values = np.empty((n, len(batch.features.features)))
        repeated = np.zeros(n, np.bool_)
        fill_points(batch.features, batch.events, values)
        for plan, part, found in zip(batch.plans, batch.parts, logs.entities, strict=False):
            fill_windows(plan, part.event_rows(found, batch.events), values)
            repeated |= part.repeated_events(found)
        return FeatureBatch(
            values=values,
            repeated=repeated,
            store_ms=(self._spent_s + read - started) * 1000,
            kernel_ms=(self._clock() - read) * 1000,
            cut_by_size=logs.cut_by_size,
        )
