"""The circuit breaker before a remote scorer, from pybreaker.

Nygard, Release It!: after some failures in a row a resource is left alone for a while; one trial
then decides whether it is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import TypeVar

import pybreaker

from inference.errors import ScorerError

logger = logging.getLogger(__name__)

T = TypeVar("T")


class BreakerState(StrEnum):
    """Closed lets calls through, open does not, half open lets one through as a trial."""

    CLOSED = pybreaker.STATE_CLOSED
    OPEN = pybreaker.STATE_OPEN
    HALF_OPEN = pybreaker.STATE_HALF_OPEN


class BreakerOpen(Exception):
    """The breaker did not let the call through."""


class Breaker:
    """Counts how calls end, and says when there should be none.

    Every ScorerError counts as a failure, a refusal too: wrong credentials refuse every batch.

    Parameters
    ----------
    name:
        For the log.
    failures:
        How many in a row open it.
    open_ms:
        How long it stays open before a trial.
    monotonic:
        The clock, seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 3,
        open_ms: int = 500,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._memory = _Memory(monotonic)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=open_ms / 1000,
            exclude=[_is_none_of_its_errors],
            listeners=[_Log()],
            state_storage=self._memory,
            name=name,
            throw_new_error_on_trip=False,
        )

    @property
    def state(self) -> BreakerState:
        """Whether calls go through now."""
        return BreakerState(self._memory.state)

    def allows(self) -> bool:
        """Whether a call would be let through, be it as a trial."""
        return self.state is not BreakerState.OPEN or self._memory.opened_s >= float(
            self._breaker.reset_timeout
        )

    def call(self, call: Callable[[], T]) -> T:
        """The result of `call`, counted. Raises BreakerOpen without calling while it is open."""
        try:
            result: T = self._breaker.call(call)
        except pybreaker.CircuitBreakerError:
            raise BreakerOpen from None
        return result


class _Memory(pybreaker.CircuitMemoryStorage):  # type: ignore[misc] # pybreaker is not typed
    """Remembers when the breaker opened by a clock that nobody can set.

    pybreaker compares wall clock times: one set back would hold the breaker open for as long.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        super().__init__(pybreaker.STATE_CLOSED)
        self._monotonic = monotonic
        self._opened_at_s: float | None = None

    @property
    def opened_s(self) -> float:
        """For how long it has been open, seconds."""
        return 0.0 if self._opened_at_s is None else self._monotonic() - self._opened_at_s

    @property
    def opened_at(self) -> datetime | None:
        return datetime.now(UTC) - timedelta(seconds=self.opened_s)

    @opened_at.setter
    def opened_at(self, now: datetime) -> None:  # noqa: ARG002 - the wall clock's word
        self._opened_at_s = self._monotonic()


class _Log(pybreaker.CircuitBreakerListener):  # type: ignore[misc] # pybreaker is not typed
    def failure(self, cb: pybreaker.CircuitBreaker, exc: BaseException) -> None:
        logger.warning("%s: %s", cb.name, exc)

    def state_change(
        self,
        cb: pybreaker.CircuitBreaker,
        old_state: pybreaker.CircuitBreakerState | None,
        new_state: pybreaker.CircuitBreakerState,
    ) -> None:
        before = "new" if old_state is None else old_state.name
        logger.warning("%s: breaker %s -> %s", cb.name, before, new_state.name)


def _is_none_of_its_errors(error: BaseException) -> bool:
    return not isinstance(error, ScorerError)
