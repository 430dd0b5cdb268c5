"""The breaker's clock is the one it is given."""

from __future__ import annotations

import pytest

from inference.breaker import Breaker, BreakerOpen, BreakerState
from inference.errors import ScorerUnavailable
from tests.adapters.scorer import Clock


def _fail() -> None:
    raise ScorerUnavailable("down")


def _is(breaker: Breaker, state: BreakerState) -> bool:
    return breaker.state is state


def test_it_opens_waits_tries_and_closes_by_the_given_clock() -> None:
    clock = Clock(now_s=100.0)
    breaker = Breaker("test", failures=2, open_ms=1_000, monotonic=clock)
    for _ in range(2):
        with pytest.raises(ScorerUnavailable):
            breaker.call(_fail)
    assert _is(breaker, BreakerState.OPEN)
    clock.now_s += 0.999
    assert not breaker.allows()
    with pytest.raises(BreakerOpen):
        breaker.call(lambda: 1)
    clock.now_s += 0.001
    assert breaker.allows()
    with pytest.raises(ScorerUnavailable):
        breaker.call(_fail)
    assert not breaker.allows(), "a failed trial opens it for the whole time again"
    clock.now_s += 1.0
    assert breaker.call(lambda: 1) == 1
    assert _is(breaker, BreakerState.CLOSED)


def test_errors_of_others_do_not_count() -> None:
    breaker = Breaker("test", failures=1, monotonic=Clock())
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)
    assert breaker.state is BreakerState.CLOSED
