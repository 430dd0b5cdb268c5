"""The published fraud features, all of them, offline; and online the very same bits."""

from __future__ import annotations

import uuid
from itertools import pairwise

import numpy as np
import pytest

from featurizers.load import load_history
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.parity import compare
from featurizers.store.redis import RedisSettings, RedisStore
from streams.pipelines.fraud import FEATURES
from tests.integration.featurizers.handbook import Floats, Transactions, published, transactions

TOLERANCE = 1e-9
TIED_PAIRS = 29

BATCH = 500
FIRST_LIVE, LAST_LIVE = 880_000, 900_000


@pytest.fixture(scope="module")
def history() -> Transactions:
    return transactions()


@pytest.fixture(scope="module")
def offline(history: Transactions) -> Floats:
    return compute(FEATURES, history.events(), history.labels(), history.known_at_ms, threads=2)


def test_every_published_value_is_reproduced(history: Transactions, offline: Floats) -> None:
    names = tuple(n for n in FEATURES.names if n != "amount")
    ids, wanted = published(names)
    assert history.ids[: len(ids)] == ids
    columns = [FEATURES.names.index(n) for n in names]
    got = offline[: len(ids), columns]
    amounts = offline[:, FEATURES.names.index("amount")]
    np.testing.assert_allclose(amounts, history.amounts, rtol=0, atol=TOLERANCE)
    counts = ["nb_tx" in n or n.startswith("during") for n in names]
    differs = np.abs(got - wanted) > np.where(counts, 0.0, TOLERANCE)
    differing = np.flatnonzero(differs.any(axis=1))
    assert len(_tied_pairs(history, len(history))) == TIED_PAIRS
    pairs = _tied_pairs(history, len(ids))
    assert set(differing.tolist()) <= set(pairs.reshape(-1).tolist())
    other = _with_pairs_swapped(history, pairs)[:, columns]
    for number, pair in enumerate(pairs):
        swapped = other[2 * number : 2 * number + 2]
        either = [
            np.allclose(wanted[pair], o, rtol=0, atol=TOLERANCE) for o in (got[pair], swapped)
        ]
        assert any(either), f"transactions {[ids[i] for i in pair]} match in neither order"


def _tied_pairs(history: Transactions, n: int) -> np.ndarray:
    """int64[pairs, 2], neighbours in time that share a customer and a second."""
    customers = np.array(history.keys["customer"][:n]).astype(np.int64)
    rows = np.lexsort((np.arange(n), history.times_ms[:n], customers))
    same = (np.diff(customers[rows]) == 0) & (np.diff(history.times_ms[:n][rows]) == 0)
    first = np.flatnonzero(same)
    return np.stack([rows[first], rows[first + 1]], axis=1)


def _with_pairs_swapped(history: Transactions, pairs: np.ndarray) -> Floats:
    """The features of the pairs' rows had each pair's second transaction come first."""
    customers = np.array(history.keys["customer"])
    terminals = np.array(history.keys["terminal"])
    involved = pairs.reshape(-1)
    rows = np.flatnonzero(
        np.isin(customers, customers[involved]) | np.isin(terminals, terminals[involved])
    )
    place = np.searchsorted(rows, pairs)
    rows[place] = rows[place[:, ::-1]]
    part = history.take(rows)
    values = compute(FEATURES, part.events(), part.labels(), part.known_at_ms)
    return values[place[:, ::-1].reshape(-1)]


def test_online_features_after_a_load_are_the_offline_ones_bit_for_bit(
    history: Transactions, offline: Floats, valkey_url: str
) -> None:
    namespace = f"handbook-{uuid.uuid4().hex}:0"
    store = RedisStore(RedisSettings(url=valkey_url, namespace=namespace))
    store.deploy_functions()
    loaded_to = int(history.times_ms[FIRST_LIVE]) - 1
    load_history(
        FEATURES,
        store,
        history.events(slice(FIRST_LIVE)),
        history.labels(slice(FIRST_LIVE)),
        history.known_at_ms[:FIRST_LIVE],
        as_of_ms=loaded_to,
    )
    online = OnlineFeatures(FEATURES, store, lambda: 0.0)
    labels_to = int(np.searchsorted(history.known_at_ms, loaded_to, side="right"))
    for start, end in pairwise(range(FIRST_LIVE, LAST_LIVE + 1, BATCH)):
        now = history.times_ms[end - 1]
        known = int(np.searchsorted(history.known_at_ms, now, side="right"))
        batch = online.submit(
            history.events(slice(start, end)), history.labels(slice(labels_to, known))
        ).result()
        labels_to = known
        report = compare(history.ids[start:end], FEATURES.names, batch.values, offline[start:end])
        assert report.values_differing == 0, report.examples
        assert not batch.repeated.any()
    store.close()
