"""What happens to a batch that fails: again later, or in halves down to the bad record."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from streams.errors import AuthenticationFailed, NotAssigned, StreamError, TransportBroken
from streams.transport.batch import MicroBatch
from streams.transport.lane import BatchProcessor
from streams.transport.metrics import TransportMetrics
from streams.transport.settings import TransportSettings

log = logging.getLogger(__name__)

#: So many records refused in a row, none accepted between: it is not the records.
_REFUSALS_IN_A_ROW = 100
_REPORT_EVERY_S = 30.0


class FailurePolicy:
    """Brings every batch to its end: processed, its bad records set aside, or given back.

    - ``error.retriable``: the same batch again after an awaited, jittered, growing pause,
      while somebody else keeps polling; for at most ``retry_give_up_s``.
    - ``error.fatal`` (or a broken transport): raised, the worker ends.
    - anything else: halves, and a single record is rejected. A hundred refusals in a row
      end the worker instead of emptying a topic into the dead letters.
    """

    def __init__(
        self,
        settings: TransportSettings,
        processor: BatchProcessor,
        metrics: TransportMetrics,
        *,
        is_current: Callable[[MicroBatch], bool],
        rng: random.Random,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._processor = processor
        self._metrics = metrics
        self._is_current = is_current
        self._rng = rng
        self._clock = clock
        self._sleep = sleep
        self._refused_in_a_row = 0

    async def run(self, batch: MicroBatch) -> None:
        """Process a batch to its end, or give it up because its assignment has ended.

        Raises
        ------
        Exception
            The error that ends the worker.
        """
        failure, batch.error = batch.error, None
        try:
            if failure is None:
                await self._insist(lambda: self._processor.process(batch), batch)
            else:
                await self._again(batch, failure)
            self._refused_in_a_row = 0
        except NotAssigned:
            log.info("%d records were given back: their partitions have moved", len(batch))
        except Exception as error:
            if _is_fatal(error):
                raise
            await self._divide(batch, error)

    async def _again(self, batch: MicroBatch, failure: Exception) -> None:
        if not getattr(failure, "retriable", False):
            raise failure
        await self._insist(lambda: self._processor.process(batch), batch, failure)

    async def _divide(self, batch: MicroBatch, error: Exception) -> None:
        if len(batch) > 1:
            for half in batch.split():
                await self.run(half)
            return
        self._refused_in_a_row += 1
        if self._refused_in_a_row > _REFUSALS_IN_A_ROW:
            raise TransportBroken(
                f"{_REFUSALS_IN_A_ROW} records in a row were refused, the last with "
                f"{type(error).__name__}: {error}; this is not the records, look for the cause"
            ) from error
        await self._reject(batch, error)

    async def _reject(self, batch: MicroBatch, error: Exception) -> None:
        record = batch.records[0]
        try:
            await self._insist(lambda: self._processor.reject(record, error), batch)
        except NotAssigned:
            return
        except StreamError:
            raise
        except Exception as unexpected:
            raise TransportBroken(
                f"a record could be neither processed ({error}) nor set aside ({unexpected})"
            ) from unexpected
        self._metrics.rejected(error)
        batch.done()

    async def _insist(
        self, attempt: Callable[[], None], batch: MicroBatch, failure: Exception | None = None
    ) -> None:
        """Attempt until it succeeds, fails for good, or the batch has another owner."""
        outage = _Outage(self._settings, self._clock)
        while True:
            if failure is None:
                try:
                    attempt()
                except Exception as error:
                    if not getattr(error, "retriable", False):
                        raise
                    failure = error
                else:
                    outage.over()
                    return
            self._metrics.retried(failure)
            await self._sleep(outage.pause_s(failure, self._rng))
            if not self._is_current(batch):
                raise NotAssigned("the assignment ended while a batch was waiting") from failure
            failure = None


class _Outage:
    """One series of retriable failures: how long to wait, what to say, when to stop."""

    def __init__(self, settings: TransportSettings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._clock = clock
        self._since: float | None = None
        self._said_at = float("-inf")
        self._bound_ms = settings.retry_initial_ms

    def pause_s(self, error: Exception, rng: random.Random) -> float:
        """Seconds to wait, half fixed and half random; raises `TransportBroken` at the end."""
        now = self._clock()
        self._since = self._since if self._since is not None else now
        if now - self._since > self._settings.retry_give_up_s:
            raise TransportBroken(
                f"no success within {self._settings.retry_give_up_s:g} s, giving up: {error}"
            ) from error
        if now - self._said_at >= _REPORT_EVERY_S:
            self._said_at = now
            log.warning("%s; nothing is lost, trying again until it works", error)
        bound_s = self._bound_ms / 1000
        self._bound_ms = min(self._bound_ms * 2, self._settings.retry_max_ms)
        return bound_s / 2 + rng.uniform(0, bound_s / 2)

    def over(self) -> None:
        """Say so when something had failed before."""
        if self._since is not None:
            log.warning("works again after %.1f s", self._clock() - self._since)


def _is_fatal(error: Exception) -> bool:
    broken = isinstance(error, TransportBroken | AuthenticationFailed)
    return broken or bool(getattr(error, "fatal", False))
