"""Schedules, payments, the ledger and the comparison."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from deploy.cli.main import headrace
from loadtests.compare import compare
from loadtests.errors import PlanRefused, ResultUnreadable
from loadtests.ledger import PROBE, Ledger
from loadtests.payments import Payments
from loadtests.result import Latency, RunResult, read_result
from loadtests.run import Plan
from loadtests.scenarios import SCENARIOS, Arrivals, Phase, schedule
from streams.pipelines.fraud import PIPELINE, Payment
from tests.unit.loadtests.virtual import payments

ROOT = Path(__file__).parents[3]


class Journey(Payment, frozen=True, kw_only=True):
    kilometres: float


def rng() -> np.random.Generator:
    return np.random.default_rng(11)


def test_a_fixed_schedule_is_even_and_phases_follow_each_other() -> None:
    when = schedule([Phase("a", 10, 2), Phase("b", 100, 1)], Arrivals.FIXED, rng())
    assert when.due_s[:20] == pytest.approx(np.arange(20) / 10)
    assert when.due_s[20:] == pytest.approx(2 + np.arange(100) / 100)
    assert [when.range_of(0), when.range_of(1)] == [slice(0, 20), slice(20, 120)]


def test_a_poisson_schedule_has_exponential_gaps() -> None:
    when = schedule([Phase("a", 1_000, 100)], Arrivals.POISSON, rng())
    gaps = np.diff(when.due_s)
    assert len(when) == pytest.approx(100_000, rel=0.02)
    assert (gaps >= 0).all()
    assert gaps.mean() == pytest.approx(0.001, rel=0.02)
    assert gaps.std() == pytest.approx(gaps.mean(), rel=0.02)
    assert (gaps > 0.003).mean() == pytest.approx(np.exp(-3), rel=0.05)


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_scenario_takes_as_long_as_asked(name: str) -> None:
    phases = SCENARIOS[name].phases(1_000, 60)
    assert sum(phase.duration_s for phase in phases) == pytest.approx(60)
    assert len({phase.name for phase in phases}) == len(phases)


def test_the_ramp_ends_at_the_rate_and_the_spike_is_in_the_middle() -> None:
    assert [p.events_per_s for p in SCENARIOS["ramp"].phases(500, 10)][-1] == 500
    assert [p.events_per_s for p in SCENARIOS["spike"].phases(500, 10)] == [500, 2_500, 500]


def test_the_warm_up_is_in_no_figure() -> None:
    plan = Plan(SCENARIOS["spike"], PIPELINE, 100, 10, "r", 1, warm_up_s=3)
    assert [p.measured for p in plan.phases()] == [False, True, True, True]
    assert all(p.measured for p in replace(plan, warm_up_s=0).phases())


def test_runs_that_cannot_be_made_are_refused() -> None:
    with pytest.raises(PlanRefused, match="lower --rate or --duration"):
        schedule([Phase("a", 1e6, 60)], Arrivals.FIXED, rng())
    with pytest.raises(PlanRefused, match="no event is due"):
        schedule([Phase("w", 10, 10, measured=False), Phase("a", 0.1, 1)], Arrivals.FIXED, rng())
    other = replace(PIPELINE, events=replace(PIPELINE.events, record=Journey))
    with pytest.raises(PlanRefused, match=r"Journeys with .*headrace replay"):
        Payments(other, prefix="r-", customers=50, seed=7)


def test_payments_are_valid_distinct_and_made_for_their_moment() -> None:
    deck = payments("r-")
    key, value = deck.message(3, 1_700_000_000_000)
    payment = msgspec.json.decode(value, type=Payment)
    assert (payment.transaction_id, payment.event_time_ms) == ("r-3", 1_700_000_000_000)
    assert key == payment.customer_id.encode()
    assert deck.message(3, 1_700_000_000_000) == (key, value)
    assert len({deck.message(n, 1)[1] for n in range(5_000)}) == 5_000
    assert len({deck.message(n, 1)[0] for n in range(5_000)}) > 20


def test_the_ledger_counts_the_first_answer_and_is_shared(tmp_path: Path) -> None:
    mine = Ledger(tmp_path / "ledger", 10_000, create=True)
    theirs = Ledger(tmp_path / "ledger", 10_000)
    assert mine.first_unanswered(9_000) == 0
    for number in range(9_000):
        theirs.note(number, 5.0)
    theirs.note(7, 6.0)
    theirs.note(PROBE, 1.0)
    theirs.note(10_000, 6.0)
    theirs.note_stranger()
    assert mine.probe_answered
    assert (mine.repeats, mine.strangers, mine.read_at_s[7]) == (1, 2, 5.0)
    assert mine.first_unanswered(9_000) == 9_000
    assert mine.first_unanswered(10_000) == 9_000


def result(**changes: object) -> RunResult:
    latency = Latency.of(np.arange(1.0, 1_001.0))
    made = RunResult(
        *("steady", "fraud", None, True, [], "fixed", 100.0, 10.0, 5.0, 500, 1, 1_000, 1_000, 0),
        *(0, 0, 100.0, 1.0, 100.0, 1_000.0, None, None, latency, [(50.0, 500.0)], [], 7, 5_000),
        {"cpus": "2"},
    )
    return msgspec.structs.replace(made, **changes)


def test_a_comparison_divides_and_says_what_is_not_alike() -> None:
    slow = Latency.of(np.arange(1.0, 1_001.0) * 2)
    compared = compare(result(), result(latency=slow, rate_events_per_s=200.0, passed=False))
    rows = {row.figure: row for row in compared.rows}
    assert rows["latency_p50_ms"].ratio == 2.0
    assert rows["answers_per_s"].ratio == 1.0
    assert "latency_p9999_ms" not in rows
    assert compared.differences == [
        "rate_events_per_s is 100.0 in A and 200.0 in B",
        "B did not pass",
    ]
    assert compare(result(), result()).differences == []


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    result().write(tmp_path / "r.json")
    assert read_result(tmp_path / "r.json") == result()
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(ResultUnreadable, match="holds no result"):
        read_result(tmp_path / "r.json")


def test_every_key_of_a_result_is_documented() -> None:
    page = (ROOT / "docs" / "benchmarking.md").read_text()
    names = [f for t in (RunResult, Latency) for f in t.__struct_fields__]
    assert [name for name in names if f"`{name}`" not in page] == []


def test_the_command_finds_the_load_test_without_importing_it() -> None:
    shown = CliRunner().invoke(headrace, ["--help"])
    assert "loadtest" in shown.output
    assert "open-loop load" in shown.output
    listed = CliRunner().invoke(headrace, ["loadtest", "list"])
    assert all(name in listed.output for name in [*SCENARIOS, "passthrough"])
    wrong = CliRunner().invoke(headrace, ["loadtest", "run", "nothing"])
    assert wrong.exit_code == 2
    assert "there are: steady, ramp, spike" in wrong.output


def test_a_run_that_does_not_count_ends_with_status_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reasons = ["steady: the generator was up to 900 ms behind its schedule"]
    failed = result(passed=False, failures=reasons)
    monkeypatch.setattr("loadtests.run.run", lambda *_: failed)
    file = tmp_path / "r.json"
    command = ["loadtest", "run", "steady", "--json", str(file)]
    shown = CliRunner().invoke(headrace, command, obj=lambda bootstrap: bootstrap)
    assert shown.exit_code == 1
    assert f"FAILED: {reasons[0]}" in shown.output
    assert read_result(file) == failed
