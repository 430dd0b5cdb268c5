"""Triton frozen, killed and restarted: batches go on in bounded time, and it is found again."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from inference.booster import Booster
from inference.breaker import Breaker, BreakerState
from inference.errors import ScorerUnavailable
from inference.fallback import FallbackScorer
from inference.local import LocalScorer
from inference.repository import StoredModel
from inference.triton.control import ModelControl
from inference.triton.scorer import TritonScorer
from tests.adapters.models import random_rows, repository_at, trained_model
from tests.adapters.triton import OwnTriton

pytestmark = [pytest.mark.integration, pytest.mark.fault]

ROWS = random_rows(256, seed=21)
DEADLINE_MS = 1_000
WAIT_S = 90.0
# Above the deadline by what a busy two-core machine may need for anything.
GRACE_S = 3.0


@pytest.fixture
def stored(own_triton: OwnTriton) -> StoredModel:
    """A model that Triton serves and this process can read."""
    repository = repository_at(own_triton.models)
    repository.publish(trained_model())
    repository.serve("fraud", [1])
    control = ModelControl(own_triton.url)
    control.load("fraud")
    control.close()
    return repository.read("fraud", 1)


class Stream:
    """Scores batch after batch as a worker does; every score must be right, whoever gives it."""

    def __init__(self, stored: StoredModel, url: str) -> None:
        remote = TritonScorer(stored.metadata.model, url, deadline_ms=DEADLINE_MS)
        breaker = Breaker("triton", failures=3, open_ms=300)
        self.scorer = FallbackScorer(remote, LocalScorer(stored), breaker, probe_every_ms=100)
        self._expected = Booster.load(stored.model).predict(ROWS).tobytes()
        self.slowest_s = 0.0
        self.scorer.warm()
        self._end_s = time.monotonic() + WAIT_S

    def batch(self) -> str | None:
        begun = time.perf_counter()
        pending = self.scorer.submit(ROWS)
        assert pending.result().tobytes() == self._expected
        self.slowest_s = max(self.slowest_s, time.perf_counter() - begun)
        return pending.degraded

    def until(self, condition: Callable[[], bool]) -> None:
        """Batches until the condition holds."""
        while not condition():
            self.require_time()
            self.batch()

    def require_time(self) -> None:
        """Fails once the test has gone on for too long."""
        assert time.monotonic() < self._end_s, f"not within {WAIT_S} s"


def test_a_frozen_triton_costs_a_batch_its_deadline_and_no_more(
    own_triton: OwnTriton, stored: StoredModel
) -> None:
    scorer = TritonScorer(stored.metadata.model, own_triton.url, deadline_ms=DEADLINE_MS)
    scorer.warm()
    own_triton.freeze()
    begun = time.perf_counter()
    with pytest.raises(ScorerUnavailable, match="deadline"):
        scorer.score(ROWS)
    waited_s = time.perf_counter() - begun
    own_triton.thaw()
    assert DEADLINE_MS / 1000 * 0.9 < waited_s < DEADLINE_MS / 1000 + GRACE_S


def test_freeze_fall_back_thaw_come_back(own_triton: OwnTriton, stored: StoredModel) -> None:
    stream = Stream(stored, own_triton.url)
    assert stream.batch() is None
    own_triton.freeze()
    begun = time.perf_counter()
    for _ in range(50):
        assert stream.batch() == "local_model"
    frozen_s = time.perf_counter() - begun
    assert stream.scorer.state is BreakerState.OPEN
    assert frozen_s < 3 * DEADLINE_MS / 1000 + GRACE_S, "only the first three may wait"
    own_triton.thaw()
    stream.until(lambda: stream.batch() is None)
    assert stream.slowest_s < DEADLINE_MS / 1000 + GRACE_S


def test_a_killed_model_process_is_found_and_started_again(
    own_triton: OwnTriton, stored: StoredModel
) -> None:
    stream = Stream(stored, own_triton.url)
    assert stream.batch() is None
    own_triton.kill_model("fraud", 1)
    stream.until(lambda: stream.scorer.state is BreakerState.OPEN)
    # Triton calls the model ready all the while; once it was seen to go away itself.
    while stream.batch() is not None:
        own_triton.supervise()
        stream.require_time()
    assert stream.slowest_s < DEADLINE_MS / 1000 + GRACE_S
    for _ in range(20):
        assert stream.batch() is None


def test_kill_fall_back_restart_reload_come_back(
    own_triton: OwnTriton, stored: StoredModel
) -> None:
    stream = Stream(stored, own_triton.url)
    assert stream.batch() is None
    own_triton.kill()
    stream.until(lambda: stream.scorer.state is BreakerState.OPEN)
    assert stream.batch() == "local_model"
    own_triton.start()
    # It has no model now; the probe has it loaded, and no batch waits for that.
    stream.until(lambda: stream.batch() is None)
    assert stream.slowest_s < DEADLINE_MS / 1000 + GRACE_S
    assert own_triton.log().count("successfully loaded 'fraud'") == 2
    for _ in range(20):
        assert stream.batch() is None
