"""What each aggregation means, by example, and where random histories do not reach."""

from __future__ import annotations

import random
import re
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from featurizers.definitions import (
    EVENTS,
    Aggregation,
    FeatureSet,
    Value,
    Window,
    WindowFeature,
    hours,
)
from featurizers.errors import DefinitionError
from featurizers.facts import Facts
from featurizers.kernel import LogRows, fill_windows
from featurizers.layout import layout_of
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.plan import plan_of
from featurizers.store.memory import MemoryStore
from tests.unit.featurizers.oracle import variance
from tests.unit.featurizers.test_definitions import AMOUNT, CUSTOMER

HOUR_MS = hours(1)
# minutes       0         30        60        60        90        120
# amounts       8         3.5       7         1         7         9
#               |---------(-- window of 90 minutes before the last --]
TIMES_MS = np.array([0, 30, 60, 60, 90, 120], dtype=np.int64) * 60_000
AMOUNTS = np.array([8, 3.5, 7, 1, 7, 9])
AT_LAST = {
    Aggregation.COUNT: 4.0,
    Aggregation.SUM: 24.0,
    Aggregation.MEAN: 6.0,
    Aggregation.MIN: 1.0,
    Aggregation.MAX: 9.0,
    Aggregation.VARIANCE: 9.0,
    Aggregation.STD: 3.0,
    Aggregation.FIRST: 7.0,
    Aggregation.LAST: 9.0,
    Aggregation.DISTINCT: 3.0,
    Aggregation.RATE: 4 / 1.5,
    Aggregation.SECONDS_SINCE_LAST: 1800.0,
}


def one_feature(
    aggregation: Aggregation, window: Window, value: Value | None = AMOUNT
) -> FeatureSet:
    feature = WindowFeature("f", CUSTOMER, aggregation, window, value, default=-1.0)
    return FeatureSet((CUSTOMER,), (feature,))


def payments(times_ms: np.ndarray, amounts: np.ndarray, first_id: int = 0) -> Facts:
    ids = np.arange(first_id, first_id + len(times_ms), dtype=np.uint64)
    return Facts(EVENTS, ids, times_ms, {"customer": ["c"] * len(ids)}, {"amount": amounts})


def online(features: FeatureSet) -> OnlineFeatures:
    return OnlineFeatures(features, MemoryStore(lambda: 0.0), lambda: 0.0)


def offline_column(features: FeatureSet, times_ms: np.ndarray, amounts: np.ndarray) -> list[float]:
    column: list[float] = compute(features, payments(times_ms, amounts))[:, 0].tolist()
    return column


@pytest.mark.parametrize("aggregation", Aggregation)
def test_each_aggregation_by_example(aggregation: Aggregation) -> None:
    features = one_feature(aggregation, Window(hours(1.5)))
    assert offline_column(features, TIMES_MS, AMOUNTS)[-1] == AT_LAST[aggregation]


def test_each_aggregation_is_documented() -> None:
    page = Path(__file__).parents[3] / "docs" / "concepts" / "features.md"
    _, section, _ = re.split(r"^## (?:Aggregations|Exactness)$", page.read_text(), flags=re.M)
    first_cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    documented = re.findall(r"`([A-Z_]+)`", " ".join(first_cells))
    assert sorted(documented) == sorted(a.name for a in Aggregation)


def test_at_one_time_the_first_arrived_first_and_the_last_arrived_last() -> None:
    late = [(120, 1.0), (60, 2.0), (60, 3.0), (120, 4.0), (120, 5.0)]
    times = np.array([minute for minute, _ in late], dtype=np.int64) * 60_000
    facts = payments(times, np.array([amount for _, amount in late]))
    expected = {Aggregation.FIRST: [1, 2, 2, 2, 2], Aggregation.LAST: [1, 2, 3, 4, 5]}
    for aggregation, column in expected.items():
        got = online(one_feature(aggregation, Window(hours(9)))).submit(facts).result()
        assert got.values[:, 0].tolist() == column


def test_an_event_is_not_an_earlier_one_of_itself() -> None:
    features = one_feature(Aggregation.SECONDS_SINCE_LAST, Window(hours(1)), value=None)
    times = np.array([0, 20_500, 20_500, 0, HOUR_MS + 20_500], dtype=np.int64)
    worker = online(features)
    facts = payments(times, np.zeros(5))
    # Alone; 20.5 s later; one of the same time; late and with one of its time; too long after.
    expected = [-1.0, 20.5, 0.0, 0.0, -1.0]
    assert worker.submit(facts).result().values[:, 0].tolist() == expected
    assert worker.submit(facts).result().values[:, 0].tolist() == expected


def test_time_since_the_last_event_reaches_back_from_the_event_through_the_delay() -> None:
    features = one_feature(Aggregation.SECONDS_SINCE_LAST, Window(hours(1), delay_ms=1_000))
    got = offline_column(features, np.array([0, 999, 1_000, 5_000]), np.zeros(4))
    assert got == [-1.0, -1.0, 1.0, 4.0]


magnitudes = st.one_of(st.integers(-(2**53) + 1, 2**53 - 1), st.integers(-3, 3))


@settings(max_examples=200, deadline=None)
@given(st.lists(magnitudes, min_size=1, max_size=30), st.integers(0, 2**20), st.randoms())
def test_variance_keeps_its_digits_whatever_the_magnitude_and_order(
    spread: list[int], offset: int, rng: random.Random
) -> None:
    values = [max(-(2**53) + 1, min(2**53 - 1, v + offset)) for v in spread]
    features = one_feature(Aggregation.VARIANCE, Window(1), Value("amount"))
    got = last_of(features, values)
    np.testing.assert_array_max_ulp(np.array(got), np.array(float(variance(values))), maxulp=8)
    rng.shuffle(values)
    assert last_of(features, values) == got


def test_what_never_changes_has_no_variance_and_close_values_have_all_of_theirs() -> None:
    features = one_feature(Aggregation.VARIANCE, Window(1), Value("amount"))
    huge = 2**53 - 1
    assert last_of(features, [huge] * 1_000) == 0.0
    assert last_of(features, [huge - 2, huge, huge - 2, huge]) == 1.0
    assert last_of(features, [-huge, huge]) == float(huge**2)


def last_of(features: FeatureSet, values: list[int]) -> float:
    n = len(values)
    column = offline_column(features, np.zeros(n, np.int64), np.array(values, dtype=np.float64))
    return column[-1]


def test_a_window_of_a_long_disordered_log_is_found_without_looking_at_all_of_it() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    n = 100_000
    times = np.arange(n, dtype=np.int64) * 10_000
    times = times[np.argsort(times + rng.integers(0, 500_000, n), kind="stable")]
    log = np.zeros((n, 3), np.int64)
    log[:, 0], log[:, 2] = times << 3, rng.integers(-10_000, 10_000, n)
    zero = np.zeros(1, np.int64)
    rows = LogRows(
        log.reshape(-1), zero, zero + n, np.zeros(n, np.int64), np.arange(1, n + 1), times
    )
    plan = plan_of(one_feature(Aggregation.MAX, Window(HOUR_MS)), CUSTOMER)
    out = np.zeros((n, 1))
    fill_windows(plan, replace(rows, keys=rows.keys[:1], positions=zero + 1, times_ms=zero), out)
    started = time.process_time()
    fill_windows(plan, rows, out)
    assert time.process_time() - started < 2.0, "a scan of the whole log per row takes minutes"
    for row in rng.integers(0, n, 200):
        seen, now = times[: row + 1], times[row]
        inside = (seen <= now) & (seen > now - HOUR_MS)
        assert out[row, 0] == log[: row + 1, 2][inside].max() / 100


@pytest.mark.parametrize("aggregation", Aggregation)
def test_a_value_is_asked_for_and_kept_only_where_it_is_aggregated(
    aggregation: Aggregation,
) -> None:
    kept = layout_of(one_feature(aggregation, Window(1)), CUSTOMER).values
    assert kept == ((EVENTS, (AMOUNT,) if aggregation.needs_value else ()),)
    if aggregation.needs_value:
        with pytest.raises(DefinitionError, match=f"{aggregation} needs a value"):
            one_feature(aggregation, Window(1), value=None)
    else:
        features = one_feature(aggregation, Window(hours(1.5)), value=None)
        assert offline_column(features, TIMES_MS, AMOUNTS)[-1] == AT_LAST[aggregation]
