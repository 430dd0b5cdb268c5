"""From moments to figures, and to the verdict whether a run counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtests.result import Latency, PhaseFigures
from loadtests.scenarios import Schedule
from loadtests.sender import Sent

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Limits:
    """What a run must not exceed.

    Attributes
    ----------
    late_ms:
        How late the generator may send an event; beyond it the load was not the one asked for.
    broken_p99_ms:
        A step of a ramp with a higher p99, or with an event unanswered, is one that the system
        does not hold.
    """

    late_ms: float = 100.0
    broken_p99_ms: float = 1_000.0


@dataclass(frozen=True, slots=True)
class Moments:
    """All that was noted of a run: the schedule, what was sent, when it was answered.

    Attributes
    ----------
    read_at_s:
        float64[n], monotonic, 0 where no answer was read.
    waited_until_s:
        When waiting for answers ended.
    """

    schedule: Schedule
    sent: Sent
    read_at_s: Floats
    waited_until_s: float

    def latency_ms(self) -> Floats:
        """float64[m], from the moment an event was due to the moment its answer was read.

        What has no answer waited until the end at least, and counts with that.
        """
        m = len(self.sent)
        read_at_s = self.read_at_s[:m]
        until = np.where(read_at_s > 0, read_at_s, self.waited_until_s)
        ms: Floats = (until - self.sent.began_s - self.schedule.due_s[:m]) * 1000
        return ms


def phase_figures(moments: Moments, limits: Limits) -> list[PhaseFigures]:
    """The figures of each phase of which something was sent."""
    latency_ms, late_ms = moments.latency_ms(), moments.sent.late_s * 1000
    figures = []
    for number, phase in enumerate(moments.schedule.phases):
        events = moments.schedule.range_of(number)
        late = late_ms[events]
        if not len(late):
            continue
        answered = int((moments.read_at_s[: len(late_ms)][events] > 0).sum())
        late_max_ms = float(late.max())
        figures.append(
            PhaseFigures(
                name=phase.name,
                measured=phase.measured,
                rate_events_per_s=phase.events_per_s,
                duration_s=phase.duration_s,
                events_due=events.stop - events.start,
                events_sent=len(late),
                answered=answered,
                unanswered=len(late) - answered,
                late_max_ms=round(late_max_ms, 3),
                late_p99_ms=round(float(np.percentile(late, 99, method="inverted_cdf")), 3),
                kept_schedule=late_max_ms <= limits.late_ms,
                latency=Latency.of(latency_ms[events]),
            )
        )
    return figures


def failures(phases: list[PhaseFigures], limits: Limits) -> list[str]:
    """Why a run does not count, or not as it should; empty when it passed."""
    reasons = []
    for phase in phases:
        if not phase.kept_schedule:
            reasons.append(
                f"{phase.name}: the generator was up to {phase.late_max_ms:,.0f} ms behind its "
                f"schedule (limit {limits.late_ms:,.0f} ms), so the load was not the one asked "
                "for: lower --rate, or give the generator more room"
            )
        if phase.unanswered:
            reasons.append(
                f"{phase.name}: {phase.unanswered:,} of {phase.events_sent:,} events were not "
                "answered; their latencies are lower bounds"
            )
    return reasons


@dataclass(frozen=True, slots=True)
class Ramp:
    """Where a system broke: the highest rate that it held, and the first that it did not."""

    held_events_per_s: float | None
    broken_events_per_s: float | None
    failures: list[str]


def judge_ramp(steps: list[PhaseFigures], limits: Limits) -> Ramp:
    """Walk the steps up to the first that was not held.

    A step in which the generator was late says nothing of the system: the run fails there.
    """
    held: float | None = None
    for step in steps:
        if not step.kept_schedule:
            return Ramp(held, None, failures([step], limits))
        if _broken(step, limits):
            return Ramp(held, step.rate_events_per_s, [])
        held = step.rate_events_per_s
    return Ramp(held, None, [])


def _broken(step: PhaseFigures, limits: Limits) -> bool:
    tail_ms = step.latency.latency_p99_ms or step.latency.latency_max_ms or 0.0
    return bool(step.unanswered) or tail_ms > limits.broken_p99_ms
