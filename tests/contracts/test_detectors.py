"""What every exported detector promises: a new one is held to it the day it is exported."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from river import drift

from online_learning import detectors
from online_learning.batches import FloatArray, IntArray
from online_learning.detectors import Adwin, AdwinConfig, Detector, Evaluation, PsiConfig
from online_learning.errors import SnapshotError

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
PER_DAY = 4_000


@dataclass(frozen=True)
class Case:
    """A detector and the rise of the mean (in [0, 1]) that it must find within `days`."""

    name: str
    build: Callable[[], Detector]
    days: float


CASES = [
    Case("Adwin", AdwinConfig(increase=0.25, step_ms=6 * HOUR_MS).build, days=0.5),
    Case(
        "Psi",
        PsiConfig(start_ms=0, reference_ms=2 * DAY_MS, window_ms=DAY_MS, threshold=0.2).build,
        days=1.0,
    ),
]


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def stream(days: float, seed: int, shift_at: float | None = None) -> tuple[IntArray, FloatArray]:
    """Values in [0, 1], with a rhythm of the day, whose mean rises at day `shift_at`."""
    rng = np.random.default_rng(seed)
    n = int(days * PER_DAY)
    times = np.sort(rng.integers(0, int(days * DAY_MS), n))
    values = rng.beta(2, 8, n) * (1 + 0.1 * np.sin(2 * np.pi * times / DAY_MS))
    if shift_at is not None:
        values[times >= shift_at * DAY_MS] += 0.25
    return times, np.clip(values, 0.0, 1.0)


def run(
    detector: Detector, times: IntArray, values: FloatArray, batch: int = 500
) -> list[Evaluation]:
    """Feed a stream and evaluate after every 500 values, however it is cut into batches."""
    found: list[Evaluation] = []
    for start in range(0, len(times), 500):
        end = min(start + 500, len(times))
        for i in range(start, end, batch):
            rows = slice(i, min(i + batch, end))
            detector.observe(times[rows], values[rows])
        found += detector.evaluate(int(times[end - 1]))
    return found


def exceeded(found: Sequence[Evaluation]) -> list[Evaluation]:
    return [evaluation for evaluation in found if evaluation.exceeded]


def same(a: Sequence[Evaluation], b: Sequence[Evaluation]) -> bool:
    return repr(a) == repr(b)


def test_every_exported_detector_has_a_case() -> None:
    exported = {name.removesuffix("Config") for name in detectors.__all__ if "Config" in name}
    assert exported == {case.name for case in CASES}


@pytest.mark.parametrize("value", [0.0, 0.3, 1.0, float("nan")])
def test_a_constant_stream_raises_nothing(case: Case, value: float) -> None:
    times, values = stream(6, seed=1)
    assert exceeded(run(case.build(), times, np.full_like(values, value))) == []


def test_a_stationary_stream_with_a_daily_rhythm_raises_nothing(case: Case) -> None:
    for seed in range(3):
        found = run(case.build(), *stream(21, seed))
        assert len(found) > 60
        assert exceeded(found) == []


def test_an_abrupt_shift_is_found_and_dated(case: Case) -> None:
    found = run(case.build(), *stream(8, seed=2, shift_at=5))
    first = exceeded(found)[0]
    assert 5 * DAY_MS < first.at_ms <= (5 + case.days) * DAY_MS
    assert abs(exceeded(found)[-1].since_ms - 5 * DAY_MS) <= DAY_MS / 4
    assert found[-1].exceeded
    assert found[-1].current_mean - found[-1].baseline_mean == pytest.approx(0.25, abs=0.02)


def test_one_by_one_is_the_same_as_in_batches(case: Case) -> None:
    times, values = stream(5, seed=3, shift_at=3.5)
    values[::97] = np.nan
    apart, together = case.build(), case.build()
    assert same(run(apart, times, values, batch=1), run(together, times, values))
    assert apart.snapshot() == together.snapshot()


def test_a_restored_detector_has_the_same_future(case: Case) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    times, values = stream(7, seed, shift_at=4)
    for cut in (0, 500, 3 * PER_DAY // 500 * 500, 5 * PER_DAY // 500 * 500):
        whole, restored = case.build(), case.build()
        run(whole, times[:cut], values[:cut])
        restored.restore(whole.snapshot())
        assert same(run(whole, times[cut:], values[cut:]), run(restored, times[cut:], values[cut:]))
        assert whole.snapshot() == restored.snapshot()


def test_a_damaged_snapshot_is_refused(case: Case) -> None:
    detector = case.build()
    run(detector, *stream(3, seed=4))
    state = msgspec.msgpack.decode(detector.snapshot())
    state["version"] = 99
    for damaged in (b"", b"{}", detector.snapshot()[:-9], msgspec.msgpack.encode(state)):
        with pytest.raises(SnapshotError):
            case.build().restore(damaged)


def test_memory_stays_bounded_whatever_comes(case: Case) -> None:
    rng = np.random.default_rng(5)
    detector = case.build()
    sizes = []
    for _ in range(60):
        times = rng.integers(-(2**50), 2**50, 5_000)
        detector.observe(times, rng.normal(0, 1e9, 5_000))
        sizes.append(len(detector.snapshot()))
    for day in range(60):
        times = np.arange(day * DAY_MS, (day + 1) * DAY_MS, DAY_MS // 5_000)
        detector.observe(times, rng.random(len(times)))
        detector.evaluate(int(times[-1]))
        sizes.append(len(detector.snapshot()))
    assert max(sizes) < 2_000_000


def test_adwin_cuts_where_it_did_when_this_was_written() -> None:
    times, values = stream(8, seed=6, shift_at=5)
    detector = AdwinConfig(increase=0.25, step_ms=6 * HOUR_MS).build()
    run(detector, times, values)
    assert detector.alarms == PINNED_CUTS

    river = drift.ADWIN()
    first = next(
        i for i, v in enumerate(values.tolist()) if river.update(v) or river.drift_detected
    )
    assert detector.alarms[0] == first


def levels(*by_five_days: float) -> list[Evaluation]:
    """What ADWIN says of values around one level after the other, five days each."""
    rng = np.random.default_rng(7)
    detector = Adwin(AdwinConfig(increase=0.25, step_ms=6 * HOUR_MS))
    times = np.arange(0, len(by_five_days) * 5 * DAY_MS, DAY_MS // PER_DAY)
    level = np.array(by_five_days)[times // (5 * DAY_MS)]
    return exceeded(run(detector, times, np.clip(rng.normal(level, 0.05), 0, 1)))


def test_adwin_measures_from_the_fall_before_the_rise() -> None:
    found = levels(0.40, 0.50, 0.20, 0.30)
    days = [e.at_ms / DAY_MS for e in found]
    assert 5 < days[0] < 6
    assert not [day for day in days if 10.5 < day < 15]
    assert found[-1].at_ms > 19 * DAY_MS
    assert found[-1].baseline_mean == pytest.approx(0.20, abs=0.02)
    assert found[-1].effect == pytest.approx(0.5, abs=0.05)


def test_adwin_takes_rises_in_small_steps_together_and_a_fall_for_normal() -> None:
    days = [e.at_ms / DAY_MS for e in levels(0.20, 0.23, 0.26, 0.20, 0.10, 0.10)]
    assert 10 < days[0] < 11.5
    assert 14.5 < days[-1] < 16


PINNED_CUTS = (
    3359,
    5279,
    8927,
    9407,
    11423,
    19807,
    19935,
    20095,
    20127,
    20159,
    20223,
    25503,
    27039,
    29631,
    31423,
    31583,
)
