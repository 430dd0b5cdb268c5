"""Sending a history through a pipeline's topics on an open-loop schedule.

When a record is due is decided before anything is sent, and never waits for an answer: a system
under load that slows down is then seen to be slow. A sender that cannot keep its own schedule says
by how much. Kafka timestamps are the moments of sending.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streams.pipeline import Pipeline
from streams.replay_progress import Checkpoint, ReplayProgress, ReplaySummary, ReplayTick
from streams.timeline import Stretch, Wire
from streams.transport.producer import BatchProducer, Deliveries

PAGE_RECORDS = 512
_SHORTEST_WAIT_S = 0.001
_LONGEST_WAIT_S = 0.02


@dataclass(frozen=True, slots=True)
class Pace:
    """How quickly a history is sent; as fast as the broker takes it when neither is given.

    Attributes
    ----------
    events_per_s:
        Events at even distances; labels go between them where event time puts them. Labels after
        the last event go at the same rate.
    speed:
        Times real event time: 3600 sends an hour a second.
    """

    events_per_s: float | None = None
    speed: float | None = None


class Schedule:
    """When each record of a sequence is due, in seconds after the first one."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._steps = 0
        self._first_ms: int | None = None

    def due_s(self, page: Stretch) -> NDArray[np.float64]:
        """float64[n], ascending, -inf without a pace; pages come in their order."""
        if self._first_ms is None:
            self._first_ms = int(page.when_ms[0])
        if self._pace.speed is not None:
            due: NDArray[np.float64] = (page.when_ms - self._first_ms) / 1000 / self._pace.speed
            return due
        if self._pace.events_per_s is None:
            return np.full(len(page), -np.inf)
        steps = page.is_event | page.closing
        numbers = self._steps + np.cumsum(steps) - steps
        self._steps += int(steps.sum())
        return numbers / self._pace.events_per_s


class Replayer:
    """Sends one pipeline's events and labels. One replay at a time, on the caller's thread.

    Raises (from `run`) the first `StreamError` of a delivery, or of a queue that does not empty.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        producer: BatchProducer,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        stopped: Callable[[], bool] = lambda: False,
        on_tick: Callable[[ReplayTick], None] = lambda _: None,
        deliver_s: float = 60.0,
    ) -> None:
        self._pipeline = pipeline
        self._producer = producer
        self._clock = clock
        self._sleep = sleep
        self._stopped = stopped
        self._on_tick = on_tick
        self._deliver_s = deliver_s
        self._events = Wire(pipeline.events)
        self._labels = Wire(pipeline.labels)

    def run(
        self,
        stretches: Iterable[Stretch],
        pace: Pace,
        *,
        checkpoint: Checkpoint | None = None,
        skip: int = 0,
    ) -> ReplaySummary:
        """Send the sequence without its first `skip` records, and wait for all confirmations.

        Ends early, in order, once `stopped()` is true; `finished` is false then.
        """
        self._producer.connect(self._deliver_s)
        pages = _pages(stretches, skip)
        # Reading begins before the clock does: it is no fault of the system that is measured.
        first = list(itertools.islice(pages, 1))
        progress = ReplayProgress(checkpoint, skip, self._clock)
        schedule = Schedule(pace)
        finished = True
        for page in itertools.chain(first, pages):
            deliveries = Deliveries(self._producer)
            sent = self._send(page, schedule.due_s(page), deliveries, progress)
            progress.page_ended(sent, deliveries)
            if sent < len(page):
                finished = False
                break
        progress.settle(self._deliver_s)
        return progress.summary(finished=finished)

    def _send(
        self,
        page: Stretch,
        due_s: NDArray[np.float64],
        deliveries: Deliveries,
        progress: ReplayProgress,
    ) -> int:
        """Send the page as it falls due; returns how many of it, fewer only when stopped."""
        messages = self._messages(page)
        sent = 0
        while sent < len(page) and not self._stopped():
            now_s = progress.elapsed_s()
            wait_s = float(due_s[sent]) - now_s
            if wait_s > 0:
                self._producer.poll(0)
                self._sleep(min(max(wait_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S))
                continue
            ready = int(np.searchsorted(due_s, now_s, side="right"))
            for topic, key, value in messages[sent:ready]:
                self._producer.send(topic, key=key, value=value, deliveries=deliveries)
            behind_s = _behind_s(now_s - due_s[sent], progress.elapsed_s() - due_s[ready - 1])
            progress.sent(page.part(sent, ready), behind_s)
            sent = ready
            self._producer.poll(0)
            progress.confirm()
            if tick := progress.tick(behind_s):
                self._on_tick(tick)
        return sent

    def _messages(self, page: Stretch) -> list[tuple[str, bytes, bytes]]:
        events = iter(self._events.messages(page.events))
        labels = iter(self._labels.messages(page.labels))
        event_topic, label_topic = self._pipeline.topic("events"), self._pipeline.topic("labels")
        return [
            (event_topic, *next(events)) if is_event else (label_topic, *next(labels))
            for is_event in page.is_event.tolist()
        ]


def _behind_s(first_s: float, last_s: float) -> float:
    """How late a run of records was at worst; what has no schedule is never late."""
    return float(max(first_s, last_s)) if np.isfinite(first_s) else 0.0


def _pages(stretches: Iterable[Stretch], skip: int) -> Iterator[Stretch]:
    for stretch in stretches:
        passed = min(skip, len(stretch))
        skip -= passed
        for first in range(passed, len(stretch), PAGE_RECORDS):
            yield stretch.part(first, min(first + PAGE_RECORDS, len(stretch)))
