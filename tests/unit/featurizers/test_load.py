"""A store loaded from history is as if it had seen every record."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers import load
from featurizers.definitions import (
    EVENTS,
    LABELS,
    Aggregation,
    FeatureSet,
    Window,
    WindowFeature,
    days,
)
from featurizers.load import load_history
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.store.memory import MemoryStore
from featurizers.store.port import Pending, Request
from tests.unit.featurizers.histories import (
    ENTITIES,
    FIELDS,
    STRIDE_MS,
    facts,
    feature_sets,
    histories,
)
from tests.unit.featurizers.oracle import Record


class CountingStore(MemoryStore):
    """A memory store that remembers how many entries each request brought."""

    def __init__(self) -> None:
        super().__init__(lambda: 0.0)
        self.sizes: list[int] = []

    def submit(self, request: Request) -> Pending:
        self.sizes += [len(part.entries) for part in request]
        return super().submit(request)


@settings(max_examples=100, deadline=None)
@given(feature_sets(), histories(EVENTS), histories(LABELS), st.integers(0, 40))
def test_events_after_a_load_have_their_offline_features(
    features: FeatureSet, events: list[Record], labels: list[Record], split: int
) -> None:
    events.sort(key=lambda r: r.time_ms)
    labels.sort(key=lambda r: r.time_ms)
    known = np.array([r.time_ms for r in labels], dtype=np.int64) + 3 * STRIDE_MS
    as_of = split * STRIDE_MS
    store = MemoryStore(lambda: 0.0)
    whole = (facts(EVENTS, events), facts(LABELS, labels), known)
    assert load_history(features, store, *whole, as_of_ms=-1) == 0
    load_history(features, store, *whole, as_of_ms=as_of)
    assert load_history(features, store, *whole, as_of_ms=as_of) == 0

    live = [r for r in events if r.time_ms > as_of]
    online = OnlineFeatures(features, store, lambda: 0.0)
    arrivals = [(int(k), 0, r) for r, k in zip(labels, known, strict=True) if k > as_of]
    arrivals += [(r.time_ms, 1, r) for r in live]
    arrivals.sort(key=lambda a: a[:2])
    got = [_one(online, record) for _, _, record in arrivals]
    expected = compute(features, *whole)[len(events) - len(live) :]
    np.testing.assert_array_equal(
        np.array([row for row in got if row is not None]).reshape(expected.shape), expected
    )


def _one(online: OnlineFeatures, record: Record) -> np.ndarray | None:
    if record.source == LABELS:
        online.submit(facts(EVENTS, []), facts(LABELS, [record])).result()
        return None
    values: np.ndarray = online.submit(facts(EVENTS, [record])).result().values[0]
    return values


def test_requests_are_bounded_and_progress_adds_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "BATCH_ENTRIES", 7)
    ones = dict.fromkeys(FIELDS[EVENTS], 1.0)
    keys = [{"customer": str(i % 3), "terminal": "t"} for i in range(50)]
    records = [Record(EVENTS, str(i), i, keys[i], ones) for i in range(50)]
    features = FeatureSet(
        ENTITIES,
        tuple(WindowFeature(e.name, e, Aggregation.COUNT, Window(days(1))) for e in ENTITIES),
    )
    store, seen = CountingStore(), list[tuple[int, int]]()
    new = load_history(
        features, store, facts(EVENTS, records), progress=lambda done, of: seen.append((done, of))
    )
    assert new == 100
    assert max(store.sizes) == 7
    assert sum(store.sizes) == 100
    assert seen[-1] == (100, 100)
    assert [done for done, _ in seen] == np.cumsum(store.sizes).tolist()
