"""The open loop: events are sent when they are due, whatever has or has not been answered.

Latency counted from the moment of sending hides every wait of the sender itself ("coordinated
omission", Gil Tene, How NOT to Measure Latency, 2013). Here it counts from the moment an event was
due, and a sender that could not keep its schedule says by how much.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.payments import Payments
from loadtests.scenarios import Schedule
from streams.transport.producer import BatchProducer, Deliveries

BURST_EVENTS = 256
_SHORTEST_WAIT_S = 0.0002
_LONGEST_WAIT_S = 0.02


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent: the first m events of the schedule, all of them unless it was given up.

    Attributes
    ----------
    began_s, began_ms:
        When the schedule began, by the monotonic and by the wall clock.
    late_s:
        float64[m], how long after it was due each event was handed to the producer.
    """

    began_s: float
    began_ms: int
    late_s: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.late_s)


class OpenLoopSender:
    """Sends one schedule on the caller's thread, through a connected producer.

    Each event's own time and its Kafka timestamp are the moment it is due. `give_up(sent, now_s)`
    is asked between bursts and may end the run early; it never delays it.

    Raises (from `run`) the first `StreamError` of the producer.
    """

    def __init__(
        self,
        producer: BatchProducer,
        topic: str,
        payments: Payments,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        wall_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000,
    ) -> None:
        self._producer = producer
        self._topic = topic
        self._payments = payments
        self._clock = clock
        self._sleep = sleep
        self._wall_ms = wall_ms

    def run(
        self,
        schedule: Schedule,
        deliveries: Deliveries,
        give_up: Callable[[int, float], bool] = lambda *_: False,
    ) -> Sent:
        """Send every event that the schedule holds."""
        due_s, late_s = schedule.due_s, np.zeros(len(schedule))
        began_s, began_ms = self._clock(), self._wall_ms()
        due_ms = began_ms + np.rint(due_s * 1000).astype(np.int64)
        sent = 0
        while sent < len(schedule) and deliveries.error is None:
            now_s = self._clock() - began_s
            wait_s = float(due_s[sent]) - now_s
            if wait_s > 0:
                self._producer.poll(0)
                self._sleep(min(max(wait_s, _SHORTEST_WAIT_S), _LONGEST_WAIT_S))
                continue
            last = min(int(np.searchsorted(due_s, now_s, side="right")), sent + BURST_EVENTS)
            self._send(sent, due_ms[sent:last].tolist(), deliveries)
            # The whole burst counts as late as its last event was: never too little.
            late_s[sent:last] = self._clock() - began_s - due_s[sent:last]
            sent = last
            self._producer.poll(0)
            if give_up(sent, began_s + now_s):
                break
        if deliveries.error is not None:
            raise deliveries.error
        return Sent(began_s, began_ms, late_s[:sent])

    def send_one(self, number: int, deliveries: Deliveries) -> None:
        """Send one event now, outside of any schedule."""
        self._send(number, [self._wall_ms()], deliveries)

    def _send(self, first: int, times_ms: list[int], deliveries: Deliveries) -> None:
        for number, time_ms in enumerate(times_ms, first):
            key, value = self._payments.message(number, time_ms)
            self._producer.send(
                self._topic, key=key, value=value, timestamp_ms=time_ms, deliveries=deliveries
            )
