"""What the oracle's small histories do not reach: long disordered logs, and compilation."""

from __future__ import annotations

import random
import time
from dataclasses import replace
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.caching import CacheImpl

from featurizers import grouping, kernel, windows
from featurizers.compiled import compiled
from featurizers.definitions import EVENTS, Aggregation, FeatureSet, Window, WindowFeature, days
from featurizers.facts import Facts
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.store.memory import MemoryStore
from tests.unit.featurizers.test_definitions import AMOUNT, CUSTOMER, SET


def one_customer(times_ms: np.ndarray, amounts: np.ndarray) -> Facts:
    n = len(times_ms)
    ids = np.arange(n, dtype=np.uint64)
    return Facts(EVENTS, ids, times_ms, {"customer": ["c"] * n}, {"amount": amounts})


def test_sums_stay_exact_where_floats_would_drift() -> None:
    n = 5_000
    amounts = np.tile([0.1, 1e9 + 0.01, 0.3, -1e9], n // 4)
    features = FeatureSet(
        (CUSTOMER,),
        (WindowFeature("total", CUSTOMER, Aggregation.SUM, Window(100), AMOUNT),),
    )
    got = compute(features, one_customer(np.arange(n, dtype=np.int64), amounts))[:, 0]
    cents = [round(a * 100) for a in amounts]
    assert got.tolist() == [sum(cents[max(0, i - 99) : i + 1]) / 100 for i in range(n)]


def test_a_long_disordered_log_is_not_scanned_for_every_row() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 200_000
    times = np.arange(n, dtype=np.int64) * 10_000
    late = rng.integers(0, 500_000, n)  # arrival order with lateness of up to 50 entries
    order = np.argsort(times + late * (rng.random(n) < 0.3), kind="stable")
    log = np.zeros((n, 3), np.int64)
    log[:, 0], log[:, 2] = times[order] << 3, rng.integers(-10_000, 10_000, n)
    rows = kernel.LogRows(
        words=log.reshape(-1),
        starts=np.zeros(1, np.int64),
        lengths=np.array([n]),
        keys=np.zeros(n, np.int64),
        positions=np.arange(1, n + 1),
        times_ms=times[order],
    )
    (plan,) = OnlineFeatures(SET, MemoryStore(lambda: 0.0), lambda: 0.0)._plans
    out = np.zeros((n, 2))
    started = time.process_time()
    kernel.fill_windows(plan, rows, out)
    assert time.process_time() - started < 2.0, "a scan of the whole log per row takes minutes"
    for row in rng.integers(0, n, 200):
        seen, now = times[order][: row + 1], times[order][row]
        inside = (seen <= now) & (seen > now - days(1))
        assert out[row, 1] == log[: row + 1, 2][inside].sum() / inside.sum() / 100


def test_nothing_is_compiled_at_the_first_batch() -> None:
    online = OnlineFeatures(SET, MemoryStore(lambda: 0.0), lambda: 0.0)
    functions: list[Any] = [windows.windows, grouping._group]
    known = [list(f.signatures) for f in functions]
    facts = one_customer(np.arange(3, dtype=np.int64), np.ones(3))
    online.submit(facts).result()
    compute(SET, replace(facts, times_ms=np.array([3, 1, 2])), threads=2)
    assert [list(f.signatures) for f in functions] == known
    assert all(known)


def test_an_installation_that_cannot_be_written_to_computes_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(CacheImpl, "_locator_classes", [])
    with pytest.raises(RuntimeError, match="no locator"):
        numba.njit(cache=True)(_twice)
    assert compiled(_twice)(21) == 42


def _twice(number: int) -> int:
    return 2 * number
