"""What records must hold, and what happens to those that do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import xxhash

from featurizers.definitions import EVENTS, LABELS
from featurizers.errors import FactsError
from featurizers.facts import Facts
from featurizers.identity import identities
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.store.memory import MemoryStore
from tests.unit.featurizers.test_definitions import MEAN, SET


def events(*amounts: float) -> Facts:
    n = len(amounts)
    return Facts(
        EVENTS,
        identities([str(i) for i in range(n)]),
        np.arange(n, dtype=np.int64),
        {"customer": ["c"] * n},
        {"amount": np.array(amounts, dtype=np.float64)},
    )


@pytest.mark.parametrize("amount", [np.nan, np.inf, -np.inf, 1e300, 2.0**53])
def test_a_number_that_cannot_be_kept_is_refused_before_anything_is_written(amount: float) -> None:
    online = OnlineFeatures(SET, MemoryStore(lambda: 0.0), lambda: 0.0)
    with pytest.raises(FactsError, match="row 1: amount"):
        online.submit(events(1.0, amount))
    got = online.submit(events(1.0, 3.0)).result()
    assert not got.repeated.any()
    assert got.values[:, 1].tolist() == [1.0, 2.0]


def test_what_is_missing_is_named() -> None:
    whole = events(1.0)
    for wrong, part in (
        (replace(whole, values={}), "'amount'"),
        (replace(whole, keys={}), "no keys of entity 'customer'"),
        (replace(whole, keys={"customer": []}), "0 keys of entity 'customer' for 1 records"),
        (replace(whole, times_ms=np.array([2**49])), "2\\*\\*49"),
    ):
        with pytest.raises(FactsError, match=part):
            compute(SET, wrong)
    features = replace(SET, features=(replace(MEAN, source=LABELS),))
    labels = Facts(LABELS, whole.ids[:0], whole.times_ms[:0], {"customer": []}, {})
    with pytest.raises(FactsError, match="1 times for 0 labels"):
        compute(features, whole, labels, whole.times_ms)


def test_a_batch_without_events_or_without_anything_is_fine() -> None:
    online = OnlineFeatures(SET, MemoryStore(lambda: 0.0), lambda: 0.0)
    empty = events()
    for labels in (None, replace(empty, source="labels")):
        got = online.submit(empty, labels).result()
        assert got.values.shape == (0, 2)
    assert compute(SET, empty).shape == (0, 2)


def test_identities_are_xxh3_of_utf8() -> None:
    # From the reference implementation: XXH3_64bits of no input, and of one byte string.
    assert identities([""]).tolist() == [0x2D06800538D394C2]
    ids = ["a", "ü", "x" * 1000, "\ud800"]
    expected = [xxhash.xxh3_64(i.encode("utf-8", "surrogatepass")).intdigest() for i in ids]
    assert identities(ids).tolist() == expected
    assert identities(ids).dtype == np.uint64
    assert len(identities([])) == 0
