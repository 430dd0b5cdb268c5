"""The simulator: reproducible, like the published payments, and drifting only where told to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from featurizers.definitions import days
from streams.history import History
from streams.simulator import Drift, DriftKind, SimulatorConfig, parse_drift, simulate
from streams.simulator.config import START_MS, SimulatorError

DATA = Path(__file__).parents[4] / "shared" / "data" / "fraud_raw.parquet"
DAYS = 90
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
SMALL = SimulatorConfig(days=20, customers=400, terminals=800, seed=3)
DRIFT_MS = START_MS + days(12)


@pytest.fixture(scope="module")
def large() -> History:
    return simulate(SimulatorConfig(days=DAYS))


def amounts(history: History) -> NDArray[np.float64]:
    values: NDArray[np.float64] = history.events["amount"].to_numpy()
    return values


def figures(
    times_ms: NDArray[np.int64],
    customers: NDArray[np.int64],
    terminals: NDArray[np.int64],
    amount: NDArray[np.float64],
    fraud: NDArray[np.bool_],
) -> dict[str, NDArray[np.float64]]:
    """What is compared of `DAYS` days of payments."""
    day = (times_ms - times_ms.min()) // days(1)
    hours = np.bincount(times_ms % days(1) // 3_600_000, minlength=24)
    settled = day >= 30
    genuine = ~fraud
    return {
        "payments a day": np.array([len(day) / DAYS]),
        "fraud rate": np.array([fraud[settled].mean()]),
        "amount mean": np.array([amount.mean()]),
        "genuine amounts": np.quantile(amount[genuine], QUANTILES),
        "share of each hour": hours / len(day),
        "per customer and day": np.quantile(np.bincount(customers) / DAYS, (0.1, 0.5, 0.9)),
        "per terminal and day": np.quantile(np.bincount(terminals) / DAYS, (0.1, 0.5, 0.9)),
        "share of amounts above 220 in fraud": np.array([(amount[fraud] > 220).mean()]),
    }


# Of fraud_raw.parquet, its first 90 days; test_the_constants_are_the_data_s holds them to it.
PUBLISHED = {
    "payments a day": [9589.0],
    "fraud rate": [0.0088],
    "amount mean": [53.61],
    "genuine amounts": [6.01, 20.95, 44.51, 76.63, 129.8, 166.8],
    "share of each hour": [
        0.0086, 0.0124, 0.0173, 0.0230, 0.0299, 0.0371, 0.0455, 0.0534, 0.0611, 0.0664, 0.0720,
        0.0733, 0.0741, 0.0715, 0.0666, 0.0606, 0.0534, 0.0454, 0.0376, 0.0298, 0.0229, 0.0170,
        0.0124, 0.0087,
    ],
    "per customer and day": [0.378, 1.883, 3.478],
    "per terminal and day": [0.689, 0.944, 1.256],
    "share of amounts above 220 in fraud": [0.233],
}  # fmt: skip
# Relative: twice what seeds 7, 8 and 9 were seen to differ by, for each seed is another world.
TOLERANCE = {
    "payments a day": 0.03,
    "fraud rate": 0.06,
    "amount mean": 0.07,
    "genuine amounts": 0.13,
    "share of each hour": 0.06,
    "per customer and day": 0.12,
    "per terminal and day": 0.10,
    "share of amounts above 220 in fraud": 0.25,
}


def compare(ours: dict[str, NDArray[np.float64]]) -> None:
    for name, wanted in PUBLISHED.items():
        np.testing.assert_allclose(ours[name], wanted, rtol=TOLERANCE[name], err_msg=name)


def test_the_payments_are_like_the_published_ones(large: History) -> None:
    customers, terminals = (
        np.array([int(text[1:]) for text in large.events[name].to_pylist()])
        for name in ("customer_id", "terminal_id")
    )
    fraud = large.truth() > 0
    compare(figures(large.event_times_ms, customers, terminals, amounts(large), fraud))


def test_the_constants_are_the_data_s() -> None:
    if not DATA.exists():
        pytest.skip("needs ../shared/data/fraud_raw.parquet, which is not part of the repository")
    table = pq.read_table(DATA, filters=[("TX_TIME_DAYS", "<", DAYS)])
    columns = {name: table[name].to_numpy() for name in table.column_names}
    theirs = figures(
        columns["TX_DATETIME"].astype("datetime64[ms]").astype(np.int64),
        columns["CUSTOMER_ID"],
        columns["TERMINAL_ID"],
        columns["TX_AMOUNT"],
        columns["TX_FRAUD"] == 1,
    )
    for name, wanted in PUBLISHED.items():
        np.testing.assert_allclose(theirs[name], wanted, rtol=0.01, err_msg=name)


def test_customers_pay_near_their_home_and_ids_are_theirs_alone(large: History) -> None:
    pairs = set(
        zip(*(large.events[n].to_pylist() for n in ("customer_id", "terminal_id")), strict=True)
    )
    per_customer = len(pairs) / len({customer for customer, _ in pairs})
    assert 50 < per_customer < 90
    assert len(set(large.event_ids)) == len(large)


def test_equal_configurations_give_equal_payments_and_seeds_matter() -> None:
    assert simulate(SMALL).events.equals(simulate(SMALL).events)
    other = simulate(SimulatorConfig(days=20, customers=400, terminals=800, seed=4))
    assert not simulate(SMALL).events.equals(other.events)


@pytest.mark.parametrize("kind", DriftKind)
def test_a_drift_changes_nothing_before_its_moment(kind: DriftKind) -> None:
    drifted = simulate(drifting(kind))
    before = simulate(SMALL).between(to_ms=DRIFT_MS).events
    columns = [name for name in before.column_names if name != "transaction_id"]
    assert drifted.between(to_ms=DRIFT_MS).events.select(columns).equals(before.select(columns))


def test_amounts_drift_scales_amounts_and_leaves_the_truth() -> None:
    plain, drifted = (h.between(DRIFT_MS) for h in (simulate(SMALL), simulate(drifting("amounts"))))
    np.testing.assert_allclose(amounts(drifted), amounts(plain) * 1.6, atol=0.0051)
    assert (drifted.truth() == plain.truth()).all()


def test_new_fraud_is_small_nightly_and_far_from_home() -> None:
    plain, drifted = (
        simulate(SMALL).between(DRIFT_MS),
        simulate(drifting("new_fraud")).between(DRIFT_MS),
    )
    more = len(drifted) - len(plain)
    # 40 customers a day here, for up to three nights each, eight payments a night.
    assert more == pytest.approx(40 * 8 * (1 + 2 + 3 * 6), rel=0.15)
    added = drifted.truth().sum() - plain.truth().sum()
    assert added == more
    fraud = drifted.truth() > 0
    small = fraud & (amounts(drifted) <= 4)
    hours = drifted.event_times_ms[small] % days(1) / 3_600_000
    assert small.sum() >= more
    assert (hours < 5).mean() > 0.9


def test_silent_terminals_take_no_more_payments() -> None:
    drifted = simulate(drifting("terminals_silent"))
    before = set(drifted.between(to_ms=DRIFT_MS).events["terminal_id"].to_pylist())
    after = set(drifted.between(DRIFT_MS).events["terminal_id"].to_pylist())
    assert len(before - after) / len(before) == pytest.approx(0.3, abs=0.08)


def drifting(kind: str) -> SimulatorConfig:
    strength = {"amounts": 1.6, "new_fraud": 500.0, "terminals_silent": 0.3}[kind]
    drift = Drift(DriftKind(kind), DRIFT_MS, strength)
    return SimulatorConfig(days=20, customers=400, terminals=800, seed=3, drifts=(drift,))


def test_drifts_are_read_from_text() -> None:
    assert parse_drift("amounts@2026-01-02") == Drift(DriftKind.AMOUNTS, START_MS + days(1), 1.6)
    assert parse_drift("new_fraud*9@2026-01-01T02:00+02:00") == Drift(
        DriftKind.NEW_FRAUD, START_MS, 9.0
    )
    for wrong in ("amounts", "amount@2026-01-02", "amounts*x@2026-01-02", "amounts@someday", ""):
        with pytest.raises(SimulatorError, match="KIND@MOMENT"):
            parse_drift(wrong)


def test_all_faults_of_a_configuration_are_named() -> None:
    drift = Drift(DriftKind.TERMINALS_SILENT, START_MS - 1, 2.0)
    with pytest.raises(SimulatorError) as fault:
        SimulatorConfig(days=0, seed=-1, drifts=(drift,))
    for word in ("days", "seed", "share", "outside"):
        assert word in str(fault.value)
