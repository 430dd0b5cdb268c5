"""The life of a worker process: start, run, drain, stop, and the exit code."""

import asyncio
import faulthandler
import gc
import logging
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence

import uvloop

from streams.errors import BrokerUnavailable, StreamError, TransportBroken
from streams.transport.app import StreamApp, create_app
from streams.transport.driver import check_faust
from streams.transport.lane import BatchProcessor
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec, check_topics
from streams.transport.watchdog import Watchdog

log = logging.getLogger(__name__)

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

#: Past the drain deadline a process gets this long to leave its group and end by itself.
_GRACE_S = 5.0


class StreamWorker:
    """Reads topics in micro-batches, gives them to a processor, and commits what is finished.

    - At start it waits for a broker (one line in 30 s) and checks the topics. A missing topic,
      another partition count or refused credentials end it with code 1 and one line.
    - The first SIGTERM or SIGINT stops reading, finishes and commits within ``drain_ms``, and
      ends with 0 (1 when something remained unfinished; it is read again by the next owner).
      A second signal ends the process at once with code 130.
    - A worker that is assigned but does not advance ends with code 70 (see `Watchdog`).

    Parameters
    ----------
    topics
        What to read. A `TopicSpec` also pins the partition count.
    producer
        The one through which ``processor`` publishes; its reports are served by the worker.
    """

    def __init__(
        self,
        settings: TransportSettings,
        *,
        name: str,
        topics: Sequence[TopicSpec],
        processor: BatchProcessor,
        producer: BatchProducer,
        metrics: TransportMetrics,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._name = name
        self._topics = list(topics)
        self._processor = processor
        self._producer = producer
        self._metrics = metrics
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not secrets
        self._clock = clock
        self._app: StreamApp | None = None
        self._stop = asyncio.Event()

    @property
    def assigned(self) -> int:
        """Number of partitions this worker owns now."""
        return 0 if self._app is None else len(self._app.lane.assigned)

    @property
    def seconds_since_turn(self) -> float:
        """Age of the last turn of the loop, seconds; for health checks of other threads."""
        return 0.0 if self._app is None else self._clock() - self._app.lane.progress.turned_at

    def run(self) -> int:
        """Run until stopped; returns the exit code. Blocks; call it on the main thread."""
        faulthandler.enable()
        _silence_faust()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(self._live())

    async def _live(self) -> int:
        check_faust()
        if not isinstance(asyncio.get_running_loop(), uvloop.Loop):
            raise TransportBroken("the running event loop is not uvloop; start with StreamWorker")
        self._watch_signals()
        try:
            await self._wait_for_topics()
            return EXIT_OK if self._stop.is_set() else await self._serve()
        except StreamError as failure:
            log.error("%s stops: %s", self._name, failure)  # noqa: TRY400 - one line is the point
            return EXIT_FAILED

    async def _wait_for_topics(self) -> None:
        said_at = float("-inf")
        while not self._stop.is_set():
            try:
                check_topics(self._settings, self._topics, deadline_s=2.0)
                self._producer.connect(deadline_s=2.0)
            except BrokerUnavailable as failure:
                if self._clock() - said_at >= 30.0:
                    said_at = self._clock()
                    log.warning("%s waits: %s; trying again until it answers", self._name, failure)
                await _first_of(self._stop, deadline_s=1.0)
            else:
                return

    async def _serve(self) -> int:
        app = self._app = create_app(
            self._settings,
            name=self._name,
            topics=[topic.name for topic in self._topics],
            processor=self._processor,
            producer=self._producer,
            metrics=self._metrics,
            rng=self._rng,
            clock=self._clock,
        )
        watchdog = Watchdog(self._settings, app.lane.progress, clock=self._clock)
        app.on_partitions_assigned.connect(self._log_assigned, weak=False)
        app.on_partitions_revoked.connect(self._log_revoked, weak=False)
        await app.start()
        _settle_memory()
        watchdog.start()
        log.info(
            "%s started: reading %s from %s in group %s",
            self._name,
            ", ".join(topic.name for topic in self._topics),
            self._settings.bootstrap,
            self._settings.group_id,
        )
        await _first_of(self._stop, app.ended)
        watchdog.stop()
        return await self._shut_down(app)

    async def _shut_down(self, app: StreamApp) -> int:
        deadline_s = self._settings.drain_ms / 1000
        guillotine = threading.Timer(deadline_s + _GRACE_S, os._exit, (EXIT_FAILED,))
        guillotine.daemon = True
        guillotine.start()
        clean = await app.consumer.drain(deadline_s) if app.failure is None else False
        await app.stop()
        self._producer.close(1.0 if app.failure is not None else deadline_s)
        guillotine.cancel()
        if app.failure is not None:
            _report(self._name, app.failure)
            return EXIT_FAILED
        log.info("%s stopped%s", self._name, "" if clean else ", unfinished records go back")
        return EXIT_OK if clean else EXIT_FAILED

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal, number)

    def _on_signal(self, number: int) -> None:
        if self._stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        log.info("%s got %s: finishing what is in flight", self._name, signal.Signals(number).name)
        self._stop.set()

    async def _log_assigned(self, _app: StreamApp, partitions: set[object], **_: object) -> None:
        log.info("%s owns %d partitions", self._name, len(partitions))

    async def _log_revoked(self, _app: StreamApp, partitions: set[object], **_: object) -> None:
        log.info("%s gave up %d partitions", self._name, len(partitions))


async def _first_of(*events: asyncio.Event, deadline_s: float | None = None) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, timeout=deadline_s, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()


def _report(name: str, failure: Exception) -> None:
    # What any of our packages raises on purpose says whether it is retriable; a bug does not.
    if isinstance(getattr(failure, "retriable", None), bool):
        log.error("%s stops: %s", name, failure)
    else:
        log.error("%s stops: %s", name, failure, exc_info=failure)


def _silence_faust() -> None:
    # What matters of their lines, the worker says itself, in its own words and once.
    for name in ("faust", "mode"):
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)


def _settle_memory() -> None:
    # Stock thresholds cost up to a sixth of the run and pauses of 300 ms.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 100)
