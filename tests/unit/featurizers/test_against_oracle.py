"""Online and offline features are the oracle's, bit for bit, for random definitions and data.

Variances and deviations, which the oracle knows as fractions, may be off by some last bits.
"""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.definitions import EVENTS, LABELS, Aggregation, FeatureSet, WindowFeature
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.store.memory import MemoryStore
from tests.unit.featurizers.histories import STRIDE_MS, facts, feature_sets, histories
from tests.unit.featurizers.oracle import Oracle, Record

PROPERTY = settings(max_examples=150, deadline=None)
ROUNDED = (Aggregation.VARIANCE, Aggregation.STD)
Batch = tuple[list[Record], list[Record]]


def frozen_clock() -> float:
    return 0.0


def assert_equal(got: np.ndarray, expected: np.ndarray, features: FeatureSet) -> None:
    for column, feature in enumerate(features.features):
        rounded = isinstance(feature, WindowFeature) and feature.aggregation in ROUNDED
        np.testing.assert_array_max_ulp(
            got[:, column], expected[:, column], maxulp=8 if rounded else 0
        )


def matrix(rows: list[list[float]], features: FeatureSet) -> np.ndarray:
    return np.array(rows, dtype=np.float64).reshape(-1, len(features.features))


@PROPERTY
@given(
    feature_sets(), st.lists(st.tuples(histories(LABELS, 15), histories(EVENTS, 15)), max_size=6)
)
def test_online_features_are_the_oracles_in_arrival_order(
    features: FeatureSet, batches: list[Batch]
) -> None:
    oracle = Oracle(features)
    online = OnlineFeatures(features, MemoryStore(frozen_clock), frozen_clock)
    for labels, events in batches:
        expected = oracle.arrive([*labels, *events])
        got = online.submit(facts(EVENTS, events), facts(LABELS, labels)).result()
        assert_equal(got.values, matrix(expected, features), features)


@PROPERTY
@given(
    feature_sets(), st.lists(st.tuples(histories(LABELS, 10), histories(EVENTS, 10)), max_size=4)
)
def test_a_batch_sent_again_later_has_the_same_features(
    features: FeatureSet, batches: list[Batch]
) -> None:
    online = OnlineFeatures(features, MemoryStore(frozen_clock), frozen_clock)
    first = [
        online.submit(facts(EVENTS, events), facts(LABELS, labels)).result()
        for labels, events in batches
    ]
    for (labels, events), before in zip(batches, first, strict=True):
        again = online.submit(facts(EVENTS, events), facts(LABELS, labels)).result()
        np.testing.assert_array_equal(again.values, before.values)
        assert again.repeated.all()


@PROPERTY
@given(
    feature_sets(),
    histories(EVENTS),
    histories(LABELS),
    st.lists(st.integers(0, 20), min_size=40, max_size=40),
    st.sampled_from((1, 3)),
)
def test_offline_features_are_the_oracles_in_time_order(
    features: FeatureSet,
    events: list[Record],
    labels: list[Record],
    delays: list[int],
    threads: int,
) -> None:
    known = [r.time_ms + d * STRIDE_MS for r, d in zip(labels, delays, strict=False)]
    got = compute(
        features,
        facts(EVENTS, events),
        facts(LABELS, labels),
        np.array(known, dtype=np.int64),
        threads=threads,
    )
    arrivals = [(t, 0, i, r) for i, (t, r) in enumerate(zip(known, labels, strict=True))]
    arrivals += [(r.time_ms, 1, i, r) for i, r in enumerate(events)]
    arrivals.sort(key=lambda a: a[:3])
    rows = Oracle(features).arrive([a[3] for a in arrivals])
    expected = matrix(rows, features)
    in_time_order = np.argsort([r.time_ms for r in events], kind="stable")
    assert_equal(got[in_time_order], expected, features)
