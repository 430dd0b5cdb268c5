"""One load test from its first process to its result."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from loadtests.companion import Companion, wait_until
from loadtests.errors import NotAnswering
from loadtests.judge import Limits, Moments, failures, judge_ramp, phase_figures
from loadtests.ledger import PROBE, Ledger
from loadtests.payments import Payments
from loadtests.peers.passthrough import PassThroughOrder
from loadtests.reader import ReaderOrder
from loadtests.result import Latency, RunResult, distribution
from loadtests.scenarios import Arrivals, Phase, Scenario, Schedule, schedule
from loadtests.sender import OpenLoopSender, Sent
from streams.pipeline import Pipeline
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec, check_topics, ensure_topics

PASSTHROUGH = "passthrough"
PEERS = {PASSTHROUGH: "a plain confluent-kafka loop: what broker and client cost alone"}
CONNECT_S = 30.0
PROBE_S = 30.0
GIVE_UP_S = 5.0
"""A ramp ends once its oldest unanswered event is so old."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run.

    Attributes
    ----------
    run_id:
        Unlike that of any other run: the events' ids begin with it.
    drain_s:
        How long after the last event answers are waited for.
    """

    scenario: Scenario
    pipeline: Pipeline
    rate: float
    duration_s: float
    run_id: str
    seed: int
    warm_up_s: float = 5.0
    drain_s: float = 30.0
    arrivals: Arrivals = Arrivals.FIXED
    peer: str | None = None
    customers: int = 5_000
    limits: Limits = field(default_factory=Limits)

    def phases(self) -> tuple[Phase, ...]:
        """The warm-up, at the first rate of the scenario, and the measured phases."""
        measured = self.scenario.phases(self.rate, self.duration_s)
        if self.warm_up_s <= 0:
            return measured
        return (Phase("warm-up", measured[0].events_per_s, self.warm_up_s, False), *measured)

    def topics(self) -> tuple[str, str]:
        """Where events go and answers come from; a peer has topics of its own."""
        if self.peer is None:
            return self.pipeline.topic("events"), self.pipeline.topic("predictions")
        beside = f"{self.pipeline.name}.loadtest.{self.peer}"
        return f"{beside}.events", f"{beside}.predictions"


def run(plan: Plan, transport: TransportSettings) -> RunResult:
    """Make the run that is planned, against what already runs, or against the peer it names.

    Raises `LoadTestError`, and `StreamError` of Kafka.
    """
    when = schedule(plan.phases(), plan.arrivals, np.random.default_rng(plan.seed))
    payments = Payments(
        plan.pipeline, prefix=f"{plan.run_id}-", customers=plan.customers, seed=plan.seed
    )
    _settle_topics(plan, transport)
    with tempfile.TemporaryDirectory(prefix="headrace-loadtest-") as folder:
        path = Path(folder) / "ledger"
        ledger = Ledger(path, len(when), create=True)
        with (
            _peer(plan, transport),
            Companion("loadtests.reader", _reader_order(plan, transport, when, path)) as reader,
        ):
            sent, until_s = _send(plan, transport, payments, when, ledger, reader)
        moments = Moments(when, sent, np.array(ledger.read_at_s), until_s)
        return _result(plan, moments, ledger)


def _settle_topics(plan: Plan, transport: TransportSettings) -> None:
    if plan.peer is None:
        check_topics(transport, [TopicSpec(topic) for topic in plan.topics()])
    else:
        specs = [TopicSpec(topic, plan.pipeline.partitions) for topic in plan.topics()]
        ensure_topics(transport, specs)


def _peer(plan: Plan, transport: TransportSettings) -> Companion | nullcontext[None]:
    if plan.peer is None:
        return nullcontext()
    order = PassThroughOrder(replace(transport, group_id=plan.run_id), *plan.topics())
    return Companion(f"loadtests.peers.{plan.peer}", order)


def _reader_order(
    plan: Plan, transport: TransportSettings, when: Schedule, path: Path
) -> ReaderOrder:
    return ReaderOrder(
        settings=transport,
        topic=plan.topics()[1],
        ledger=str(path),
        events=len(when),
        prefix=f"{plan.run_id}-",
        # A peer copies the event as it is; Headrace's prediction has fields of its own.
        id_field=plan.pipeline.events.id if plan.peer else "id",
        deadline_s=CONNECT_S + PROBE_S + float(when.due_s[-1]) * 2 + plan.drain_s + 60,
    )


def _send(
    plan: Plan,
    transport: TransportSettings,
    payments: Payments,
    when: Schedule,
    ledger: Ledger,
    reader: Companion,
) -> tuple[Sent, float]:
    """Probe, send the schedule, wait for answers; also returns when waiting ended."""
    with _producer(transport) as producer:
        deliveries = Deliveries(producer)
        sender = OpenLoopSender(producer, plan.topics()[0], payments)

        def meanwhile() -> None:
            producer.poll(0)
            reader.require_alive()

        sender.send_one(PROBE, deliveries)
        if not wait_until(lambda: ledger.probe_answered, PROBE_S, meanwhile):
            raise _not_answering(plan)

        def overwhelmed(sent: int, now_s: float) -> bool:
            oldest = ledger.first_unanswered(sent)
            waiting_s = now_s - began_s - when.due_s[oldest] if oldest < sent else 0.0
            return bool(waiting_s > GIVE_UP_S)

        began_s = time.monotonic()
        give_up = {"give_up": overwhelmed} if plan.scenario.until_broken else {}
        sent = sender.run(when, deliveries, **give_up)
        wait_until(lambda: ledger.first_unanswered(len(sent)) == len(sent), plan.drain_s, meanwhile)
        deliveries.wait(CONNECT_S)
        return sent, time.monotonic()


@contextmanager
def _producer(transport: TransportSettings) -> Iterator[BatchProducer]:
    producer = BatchProducer(transport)
    try:
        producer.connect(CONNECT_S)
        yield producer
    finally:
        producer.close(deadline_s=5.0)


def _not_answering(plan: Plan) -> NotAnswering:
    events, answers = plan.topics()
    remedy = (
        f"start the system with `headrace worker {plan.pipeline.name}` (`headrace --help` lists "
        "the steps before it) and see with `headrace watch` that it takes events in"
    )
    return NotAnswering(
        f"an event sent to {events} had no answer on {answers} within {PROBE_S:.0f} s; "
        + ("look at the peer's output above" if plan.peer else remedy)
    )


def _result(plan: Plan, moments: Moments, ledger: Ledger) -> RunResult:
    phases = phase_figures(moments, plan.limits)
    measured = [phase for phase in phases if phase.measured]
    warm_up = sum(phase.events_sent for phase in phases if not phase.measured)
    ramp = judge_ramp(measured, plan.limits) if plan.scenario.until_broken else None
    reasons = ramp.failures if ramp else failures(measured, plan.limits)
    latency_ms = moments.latency_ms()[warm_up:]
    return RunResult(
        scenario=plan.scenario.name,
        pipeline=plan.pipeline.name,
        peer=plan.peer,
        passed=not reasons,
        failures=reasons,
        arrivals=plan.arrivals,
        rate_events_per_s=plan.rate,
        duration_s=plan.duration_s,
        warm_up_s=plan.warm_up_s,
        warm_up_events=warm_up,
        began_at_ms=moments.sent.began_ms,
        events_sent=sum(phase.events_sent for phase in measured),
        answered=sum(phase.answered for phase in measured),
        unanswered=sum(phase.unanswered for phase in measured),
        repeats=ledger.repeats,
        strangers=ledger.strangers,
        answers_per_s=_answers_per_s(moments, warm_up),
        late_max_ms=max((p.late_max_ms or 0.0 for p in measured), default=None),
        late_limit_ms=plan.limits.late_ms,
        broken_p99_ms=plan.limits.broken_p99_ms,
        held_events_per_s=ramp.held_events_per_s if ramp else None,
        broken_events_per_s=ramp.broken_events_per_s if ramp else None,
        latency=Latency.of(latency_ms),
        latency_distribution=distribution(latency_ms),
        phases=phases,
        seed=plan.seed,
        customers=plan.customers,
        machine=_machine(),
    )


def _answers_per_s(moments: Moments, warm_up: int) -> float | None:
    """Answers to measured events, by the time from when the first was due to the last read."""
    read_at_s = moments.read_at_s[warm_up : len(moments.sent)]
    answered = int((read_at_s > 0).sum())
    if not answered:
        return None
    first_due_s = moments.sent.began_s + moments.schedule.due_s[warm_up]
    return round(answered / (float(read_at_s.max()) - float(first_due_s)), 1)


def _machine() -> dict[str, str]:
    return {
        "cpus": str(os.cpu_count()),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
    }
