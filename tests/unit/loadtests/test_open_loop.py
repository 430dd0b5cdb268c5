"""No wait is left out: a stall of the system, or of the sender, is in the percentiles."""

from __future__ import annotations

import numpy as np
import pytest

from loadtests.judge import Limits, Moments, failures, judge_ramp, phase_figures
from loadtests.result import Latency, PhaseFigures
from tests.unit.loadtests.virtual import ANSWER_S, Clock, Stall, System, measured

RATE, DURATION_S = 200.0, 10.0
STALL = Stall(at_s=4.0, lasting_s=1.0)
LIMITS = Limits(late_ms=100, broken_p99_ms=500)


def closed_loop(system: System, events: int) -> Latency:
    """How not to measure: send, wait for the answer, take the time between, go on."""
    clock, taken_ms = system.clock, []
    for _ in range(events):
        began_s = clock()
        system.read_at_s.append(0.0)
        free_s = system._until_s if began_s >= system._from_s else 0.0
        clock.now_s = max(began_s, free_s) + ANSWER_S
        taken_ms.append((clock() - began_s) * 1000)
    return Latency.of(np.array(taken_ms))


def test_a_stall_of_the_system_is_in_the_percentiles() -> None:
    moments = measured(System(Clock(), STALL), RATE, DURATION_S)
    latency_ms = np.sort(moments.latency_ms())
    # A second's events, a tenth of all, waited 1,000 to 5 ms, at even distances: as computed.
    waited = np.sort(np.concatenate([np.full(1800, 0.0), 1000 - np.arange(200) * 5.0]))
    assert latency_ms == pytest.approx(waited + ANSWER_S * 1000, abs=1.0)
    [phase] = phase_figures(moments, LIMITS)
    assert phase.latency.latency_p99_ms == pytest.approx(904, abs=6)
    assert phase.latency.latency_p999_ms == pytest.approx(994, abs=6)
    assert phase.kept_schedule
    assert failures([phase], LIMITS) == []
    # The test can fail: a closed loop sees one slow answer in 2,000.
    hidden = closed_loop(System(Clock(), STALL), 2000)
    assert hidden.latency_p99_ms == pytest.approx(4, abs=0.1)
    assert hidden.latency_max_ms == pytest.approx(1000, abs=10)


def test_a_stall_of_the_sender_is_in_the_percentiles_and_fails_the_run() -> None:
    moments = measured(System(Clock(), STALL, blocks=True), RATE, DURATION_S)
    [phase] = phase_figures(moments, LIMITS)
    assert phase.latency.latency_p99_ms == pytest.approx(904, abs=6)
    assert phase.late_max_ms == pytest.approx(1000, abs=6)
    assert not phase.kept_schedule
    [reason] = failures([phase], LIMITS)
    assert "the generator was up to 1,000 ms behind its schedule (limit 100 ms)" in reason


def test_without_a_stall_every_answer_takes_what_it_takes() -> None:
    moments = measured(System(Clock()), RATE, DURATION_S)
    assert moments.latency_ms() == pytest.approx(np.full(2000, ANSWER_S * 1000), abs=0.5)


def test_what_is_never_answered_counts_with_the_time_it_waited_and_fails_the_run() -> None:
    moments = measured(System(Clock()), RATE, DURATION_S)
    lost = moments.read_at_s.copy()
    lost[100:150] = 0
    until_s = moments.sent.began_s + 40.0
    [phase] = phase_figures(Moments(moments.schedule, moments.sent, lost, until_s), LIMITS)
    assert (phase.answered, phase.unanswered) == (1950, 50)
    assert phase.latency.latency_max_ms == pytest.approx(39_500, abs=1)
    [reason] = failures([phase], LIMITS)
    assert "50 of 2,000 events were not answered" in reason


def test_percentiles_are_measured_values_and_absent_where_there_are_too_few() -> None:
    values = np.arange(1.0, 10_001.0)
    full = Latency.of(np.random.default_rng(3).permutation(values))
    assert full.latency_p50_ms == 5_000
    assert full.latency_p99_ms == 9_900
    assert full.latency_p9999_ms == 9_999
    assert full.latency_max_ms == 10_000
    assert Latency.of(values[:9_999]).latency_p9999_ms is None
    assert Latency.of(values[:99]).latency_p99_ms is None
    assert Latency.of(values[:0]).latency_max_ms is None


def step(rate: float, p99_ms: float, *, unanswered: int = 0, kept: bool = True) -> PhaseFigures:
    latency = Latency(1.0, 1.0, 1.0, p99_ms, p99_ms, None, p99_ms)
    return PhaseFigures(
        str(rate),
        True,
        rate,
        1.0,
        1000,
        1000,
        1000 - unanswered,
        unanswered,
        1.0,
        1.0,
        kept,
        latency,
    )


def test_a_ramp_finds_the_step_that_breaks() -> None:
    ramp = judge_ramp([step(1, 5), step(2, 499), step(3, 501), step(4, 5)], LIMITS)
    assert (ramp.held_events_per_s, ramp.broken_events_per_s, ramp.failures) == (2, 3, [])
    ramp = judge_ramp([step(1, 5), step(2, 5, unanswered=1)], LIMITS)
    assert (ramp.held_events_per_s, ramp.broken_events_per_s) == (1, 2)
    ramp = judge_ramp([step(1, 5), step(2, 5)], LIMITS)
    assert (ramp.held_events_per_s, ramp.broken_events_per_s) == (2, None)


def test_a_ramp_does_not_blame_the_system_for_a_late_generator() -> None:
    ramp = judge_ramp([step(1, 5), step(2, 900, kept=False), step(3, 900)], LIMITS)
    assert (ramp.held_events_per_s, ramp.broken_events_per_s) == (1, None)
    assert len(ramp.failures) == 1
