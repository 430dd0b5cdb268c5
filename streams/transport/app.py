"""The Faust app of a worker: its lane, and the one agent that works through the batches."""

import asyncio
import logging
import random
import time
from collections.abc import Callable, Sequence
from typing import Any

import faust

from streams.transport.driver import BatchSchema, NoTables, faust_log
from streams.transport.lane import BatchProcessor, Lane
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer
from streams.transport.retry import FailurePolicy
from streams.transport.settings import TransportSettings

log = logging.getLogger(__name__)


class StreamApp(faust.App):  # type: ignore[misc]  # Faust carries no types
    """A Faust app that carries micro-batches; make it with `create_app`.

    ``ended`` is set when something ends the worker, and ``failure`` says what.
    """

    logger = faust_log

    def __init__(self, name: str, *, lane: Lane, **options: Any) -> None:
        self.lane = lane
        self.failure: Exception | None = None
        self.ended = asyncio.Event()
        super().__init__(name, **options)

    def end(self, failure: Exception) -> None:
        """Ask the worker to stop because of ``failure``; the first one is kept."""
        if self.failure is None:
            self.failure = failure
        self.ended.set()

    def _crash(self, reason: BaseException) -> None:
        # Called for the app when any of its services crashes; Faust would only log it.
        self.end(reason if isinstance(reason, Exception) else RuntimeError(repr(reason)))
        super()._crash(reason)

    def _create_directories(self) -> None:
        """Leave no directories behind: there are no tables to keep in them."""


def create_app(
    settings: TransportSettings,
    *,
    name: str,
    topics: Sequence[str],
    processor: BatchProcessor,
    producer: BatchProducer,
    metrics: TransportMetrics,
    rng: random.Random,
    clock: Callable[[], float] = time.monotonic,
) -> StreamApp:
    """Return a Faust app that reads ``topics`` and gives every micro-batch to ``processor``.

    Call it inside the running event loop. Touches no network: the app does when started.

    Raises
    ------
    TransportBroken
        When another Faust than the pinned one is installed.
    """
    lane = Lane(settings, processor=processor, producer=producer, metrics=metrics, clock=clock)
    app = StreamApp(
        name,
        lane=lane,
        broker=f"headrace://{settings.bootstrap.split(',')[0]}",
        store="memory://",
        TableManager=NoTables,
        autodiscover=False,
        web_enabled=False,
        topic_disable_leader=True,
        topic_allow_declare=False,
        broker_session_timeout=settings.session_timeout_ms / 1000,
    )
    policy = FailurePolicy(
        settings,
        processor,
        metrics,
        is_current=lane.is_current,
        rng=rng,
        clock=clock,
    )
    _add_agent(app, topics, policy)
    return app


def _add_agent(app: StreamApp, topics: Sequence[str], policy: FailurePolicy) -> None:
    async def batches(stream: Any) -> None:
        async for batch in stream:
            try:
                await policy.run(batch)
            except Exception as failure:  # noqa: BLE001 - whatever it is, it ends the worker
                app.end(failure)
                return
            finally:
                app.consumer.handled()

    topic = app.topic(*topics, schema=BatchSchema(), acks=False, internal=False)
    app.agent(topic, name="batches")(batches)
