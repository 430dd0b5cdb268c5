"""The ladder: who scores, how long a batch may wait, and how the remote scorer comes back."""

from __future__ import annotations

import logging
from dataclasses import replace

import numpy as np
import pytest

from inference.breaker import Breaker, BreakerState
from inference.errors import ModelMismatch, ModelNotFound, ScorerRefused, ScorerUnavailable
from inference.fallback import FallbackScorer
from tests.adapters.models import COLUMNS
from tests.adapters.scorer import MODEL, Clock, FakeScorer

REMOTE, LOCAL = 0.25, 0.75
ROWS = np.zeros((3, COLUMNS), dtype=np.float32)
DOWN = ScorerUnavailable("no answer")


class Ladder:
    """A fallback scorer over two fakes: 3 failures open it, for 500 ms, a probe every 200 ms."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.remote = FakeScorer(REMOTE)
        self.local = FakeScorer(LOCAL)
        breaker = Breaker("test", failures=3, open_ms=500, monotonic=self.clock)
        self.scorer = FallbackScorer(
            self.remote, self.local, breaker, probe_every_ms=200, monotonic=self.clock
        )

    def who(self) -> str:
        """Scores a batch and says who did."""
        pending = self.scorer.submit(ROWS)
        value = float(pending.result()[0])
        assert pending.degraded == (None if value == REMOTE else "local_model")
        return "remote" if value == REMOTE else "local"

    def break_it(self) -> None:
        self.remote.error = DOWN
        assert [self.who() for _ in range(3)] == ["local"] * 3
        assert self.scorer.state is BreakerState.OPEN


def test_the_remote_scorer_scores_while_it_answers() -> None:
    ladder = Ladder()
    assert ladder.who() == "remote"
    assert not ladder.local.sent


@pytest.mark.parametrize("error", [DOWN, ModelNotFound("gone"), ScorerRefused("not you")])
def test_the_local_model_scores_the_batch_that_the_remote_one_did_not(
    error: ScorerUnavailable,
) -> None:
    ladder = Ladder()
    ladder.remote.error = error
    assert ladder.who() == "local"
    ladder.remote.error = None
    assert ladder.who() == "remote"


def test_an_open_breaker_spares_batches_the_wait() -> None:
    ladder = Ladder()
    ladder.break_it()
    asked = len(ladder.remote.sent)
    assert [ladder.who() for _ in range(10)] == ["local"] * 10
    assert len(ladder.remote.sent) == asked


def test_failures_apart_do_not_open_the_breaker() -> None:
    ladder = Ladder()
    for _ in range(5):
        ladder.remote.error = DOWN
        assert [ladder.who() for _ in range(2)] == ["local"] * 2
        ladder.remote.error = None
        assert ladder.who() == "remote"
    assert ladder.scorer.state is BreakerState.CLOSED


def test_it_comes_back_by_a_probe_and_one_trial() -> None:
    ladder = Ladder()
    ladder.break_it()
    ladder.remote.error = None
    ladder.clock.now_s += 0.6
    assert ladder.who() == "local", "nothing is tried before the probe has answered"
    ladder.remote.probes[-1].answer = True
    assert ladder.who() == "remote"
    assert ladder.scorer.state is BreakerState.CLOSED


def test_a_probe_that_answers_early_waits_for_the_breaker() -> None:
    ladder = Ladder()
    ladder.break_it()
    ladder.remote.error = None
    assert ladder.who() == "local"
    ladder.remote.probes[-1].answer = True
    ladder.clock.now_s += 0.4
    assert ladder.who() == "local"
    ladder.clock.now_s += 0.2
    assert ladder.who() == "remote"


def test_probes_are_bounded_in_time_and_asked_one_at_a_time() -> None:
    ladder = Ladder()
    ladder.break_it()
    for _ in range(5):
        ladder.who()
    assert len(ladder.remote.probes) == 1, "the first has not answered"
    ladder.remote.probes[-1].answer = False
    for _ in range(5):
        ladder.who()
    assert len(ladder.remote.probes) == 1, "the next is not due"
    ladder.clock.now_s += 0.2
    ladder.who()
    assert len(ladder.remote.probes) == 2


def test_only_one_batch_tries_and_its_failure_opens_again() -> None:
    ladder = Ladder()
    ladder.break_it()
    ladder.clock.now_s += 0.6
    ladder.who()
    ladder.remote.probes[-1].answer = True
    asked = len(ladder.remote.sent)
    trial, next_one = ladder.scorer.submit(ROWS), ladder.scorer.submit(ROWS)
    assert (trial.result()[0], next_one.result()[0]) == (LOCAL, LOCAL)
    assert len(ladder.remote.sent) == asked + 1
    assert ladder.scorer.state is BreakerState.OPEN


def test_a_batch_already_sent_does_not_wait_once_the_breaker_is_open() -> None:
    ladder = Ladder()
    pending = ladder.scorer.submit(ROWS)
    sent = ladder.remote.sent[-1]
    ladder.break_it()
    assert pending.result()[0] == LOCAL
    assert sent.waited == 0
    assert sent.cancelled


def test_the_caller_may_reuse_its_matrix() -> None:
    ladder = Ladder()
    ladder.remote.error = DOWN
    matrix = np.ones((1, COLUMNS), dtype=np.float32)
    pending = ladder.scorer.submit(matrix)
    matrix[:] = 9
    pending.result()
    assert (ladder.local.sent[-1].matrix == 1).all()


def test_the_result_is_the_same_when_asked_again() -> None:
    ladder = Ladder()
    ladder.remote.error = DOWN
    pending = ladder.scorer.submit(ROWS)
    assert pending.result() is pending.result()
    assert len(ladder.local.sent) == 1


def test_a_refusal_of_both_is_the_callers() -> None:
    ladder = Ladder()
    ladder.remote.error = ladder.local.error = ScorerRefused("scores are not numbers")
    with pytest.raises(ScorerRefused):
        ladder.who()


def test_two_versions_are_no_fallback() -> None:
    other = FakeScorer(LOCAL, model=replace(MODEL, version=MODEL.version + 1))
    with pytest.raises(ModelMismatch):
        FallbackScorer(FakeScorer(REMOTE), other, Breaker("test"))


def test_the_log_names_every_failure_and_change(caplog: pytest.LogCaptureFixture) -> None:
    ladder = Ladder()
    with caplog.at_level(logging.WARNING):
        ladder.break_it()
        ladder.who()
    assert [r.message for r in caplog.records] == [
        *["test: no answer"] * 3,
        "test: breaker closed -> open",
    ]
