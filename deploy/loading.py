"""Warms the online store from history."""

from __future__ import annotations

from collections.abc import Callable

from featurizers.load import load_history
from featurizers.store.port import FeatureStore
from streams.history import History
from streams.pipeline import Pipeline


def load_store(
    pipeline: Pipeline,
    history: History,
    store: FeatureStore,
    *,
    to_ms: int,
    progress: Callable[[int, int], None],
) -> int:
    """Fill `store` with what was known just before `to_ms`; how many entries were new.

    `progress` is told the entries done and those to do. Raises the errors of `featurizers`.
    """
    known = history.before(to_ms)
    return load_history(
        pipeline.features,
        store,
        known.events_facts(),
        known.labels_facts(),
        known.label_known_at_ms,
        as_of_ms=to_ms - 1,
        progress=progress,
    )
