"""What load is put on, and when: scenarios, their phases, and the schedule of every event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from loadtests.errors import PlanRefused

MAX_EVENTS = 20_000_000
RAMP_STEPS = 10
SPIKE_TIMES = 5


class Arrivals(StrEnum):
    """How events are spread over a phase."""

    FIXED = "fixed"
    """At even distances."""
    POISSON = "poisson"
    """Independently of each other, as those of many customers are."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of a run with one rate."""

    name: str
    events_per_s: float
    duration_s: float
    measured: bool = True
    """False for the warm-up, whose events are sent and answered but in no figure."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A profile of load; `phases(rate, duration_s)` are the measured ones."""

    name: str
    line: str
    phases: Callable[[float, float], tuple[Phase, ...]]
    until_broken: bool = False
    """The system is expected to break; finding where is the result, not a failure."""


def _steady(rate: float, duration_s: float) -> tuple[Phase, ...]:
    return (Phase("steady", rate, duration_s),)


def _ramp(rate: float, duration_s: float) -> tuple[Phase, ...]:
    rates = [rate * step / RAMP_STEPS for step in range(1, RAMP_STEPS + 1)]
    return tuple(Phase(f"{r:g}/s", r, duration_s / RAMP_STEPS) for r in rates)


def _spike(rate: float, duration_s: float) -> tuple[Phase, ...]:
    return (
        Phase("before", rate, duration_s * 0.4),
        Phase("spike", rate * SPIKE_TIMES, duration_s * 0.2),
        Phase("after", rate, duration_s * 0.4),
    )


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("steady", "--rate events a second from beginning to end", _steady),
        Scenario(
            "ramp",
            f"{RAMP_STEPS} steps up to --rate; ends at the first that the system does not hold",
            _ramp,
            until_broken=True,
        ),
        Scenario(
            "spike", f"--rate, {SPIKE_TIMES} times --rate for a fifth of the time, --rate", _spike
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Schedule:
    """When each of n events is due: fixed before the first is sent, and waiting for nothing.

    Attributes
    ----------
    due_s:
        float64[n], ascending, seconds after the start.
    ends:
        Per phase the number of its last event plus one.
    """

    phases: tuple[Phase, ...]
    due_s: NDArray[np.float64]
    ends: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.due_s)

    def range_of(self, phase: int) -> slice:
        """The events of a phase."""
        return slice(self.ends[phase - 1] if phase else 0, self.ends[phase])


def schedule(phases: Sequence[Phase], arrivals: Arrivals, rng: np.random.Generator) -> Schedule:
    """The schedule of phases one after the other. Raises `PlanRefused` for too many or no events.

    Given how many events a Poisson process has in a phase, each is due uniformly within it
    (Kingman, Poisson Processes, 1993, section 2.4).
    """
    expected = sum(phase.events_per_s * phase.duration_s for phase in phases)
    if expected > MAX_EVENTS:
        raise PlanRefused(
            f"{expected:,.0f} events are more than the {MAX_EVENTS:,} whose moments a run keeps: "
            "lower --rate or --duration"
        )
    due: list[NDArray[np.float64]] = []
    start_s = 0.0
    for phase in phases:
        due.append(start_s + _within(phase, arrivals, rng))
        start_s += phase.duration_s
    ends = tuple(int(end) for end in np.cumsum([len(part) for part in due]))
    if not any(len(part) for phase, part in zip(phases, due, strict=True) if phase.measured):
        raise PlanRefused("no event is due: raise --rate or --duration")
    return Schedule(tuple(phases), np.concatenate(due), ends)


def _within(phase: Phase, arrivals: Arrivals, rng: np.random.Generator) -> NDArray[np.float64]:
    expected = phase.events_per_s * phase.duration_s
    if arrivals is Arrivals.POISSON:
        return np.sort(rng.uniform(0.0, phase.duration_s, rng.poisson(expected)))
    return np.arange(round(expected)) / phase.events_per_s
