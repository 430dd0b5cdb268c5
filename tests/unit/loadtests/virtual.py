"""A load test in virtual time: a clock, a system that answers after a delay, and may stall."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from loadtests.judge import Moments
from loadtests.payments import Payments
from loadtests.scenarios import Arrivals, Phase, schedule
from loadtests.sender import OpenLoopSender
from streams.pipelines.fraud import PIPELINE
from streams.transport.producer import Deliveries
from tests.adapters.producer import MemoryProducer

ANSWER_S = 0.004


class Clock:
    """Stands still but for sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds

    def wall_ms(self) -> int:
        return round(self.now_s * 1000)


@dataclass
class Stall:
    """From `at_s` on, for `lasting_s`."""

    at_s: float
    lasting_s: float


class System(MemoryProducer):
    """Answers what was sent after 4 ms; while it stalls, when the stall is over.

    With `blocks`, the stall stops the sender itself, as a broker does that takes nothing.
    """

    def __init__(self, clock: Clock, stall: Stall | None = None, *, blocks: bool = False) -> None:
        super().__init__()
        self.clock = clock
        self.blocks = blocks
        self.read_at_s: list[float] = []
        self._from_s = clock() + stall.at_s if stall else float("inf")
        self._until_s = self._from_s + stall.lasting_s if stall else 0.0

    def send(self, topic: str, **record: Any) -> None:
        super().send(topic, **record)
        free_s = self._until_s if self.clock() >= self._from_s else 0.0
        if self.blocks:
            self.clock.now_s = max(self.clock.now_s, free_s)
        self.read_at_s.append(max(self.clock(), free_s) + ANSWER_S)


def payments(prefix: str = "run-") -> Payments:
    return Payments(PIPELINE, prefix=prefix, customers=50, seed=7)


def measured(system: System, rate: float, duration_s: float) -> Moments:
    """A whole run at a fixed rate."""
    when = schedule([Phase("steady", rate, duration_s)], Arrivals.FIXED, np.random.default_rng(1))
    clock = system.clock
    sender = OpenLoopSender(
        system,
        "events",
        payments(),
        clock=clock,
        sleep=clock.sleep,
        wall_ms=clock.wall_ms,
    )
    sent = sender.run(when, Deliveries(system))
    return Moments(when, sent, np.array(system.read_at_s), clock())
