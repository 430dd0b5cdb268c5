"""What the simulator may be told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from streams.errors import StreamError

START_MS = 1_767_225_600_000
"""2026-01-01, UTC."""
_DAY_MS = 86_400_000


class SimulatorError(StreamError):
    """The simulator was told something that makes no sense; every fault is named."""


class DriftKind(StrEnum):
    """What may change in the world from a given time on."""

    AMOUNTS = "amounts"
    """Every amount is multiplied by `strength` (1.6). What is fraud stays what it was."""
    NEW_FRAUD = "new_fraud"
    """A fourth kind of fraud: `strength` (6) customers a day, of 5,000, have their card's number
    tried out for three nights: bursts of small payments at terminals anywhere."""
    TERMINALS_SILENT = "terminals_silent"
    """The share `strength` (0.3) of the terminals takes no more payments."""


DEFAULT_STRENGTH = {
    DriftKind.AMOUNTS: 1.6,
    DriftKind.NEW_FRAUD: 6.0,
    DriftKind.TERMINALS_SILENT: 0.3,
}


@dataclass(frozen=True, slots=True)
class Drift:
    """One change of the world, from `at_ms` (event time) to the end."""

    kind: DriftKind
    at_ms: int
    strength: float


@dataclass(frozen=True, slots=True)
class SimulatorConfig:
    """The simulated world. Equal configurations give equal payments.

    Raises `SimulatorError`, naming every fault at once.

    Attributes
    ----------
    days:
        Length; payments per day are about 1.92 times the customers.
    start_ms:
        Event time of the first midnight.
    compromised_terminals_a_day, compromised_customers_a_day:
        Of 10,000 terminals and 5,000 customers; in proportion for other numbers of them.
    label_delay_ms:
        How long after a payment it is known whether it was fraud.
    """

    days: int = 60
    customers: int = 5_000
    terminals: int = 10_000
    seed: int = 7
    start_ms: int = START_MS
    drifts: tuple[Drift, ...] = ()
    compromised_terminals_a_day: float = 2.0
    compromised_customers_a_day: float = 3.0
    label_delay_ms: int = 7 * _DAY_MS

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise SimulatorError("; ".join(faults))


def parse_drift(text: str) -> Drift:
    """`KIND@MOMENT` or `KIND*STRENGTH@MOMENT`, such as `amounts*1.6@2026-02-20T12:00`, UTC.

    Raises `SimulatorError`.
    """
    what, _, moment = text.partition("@")
    name, star, strength = what.partition("*")
    try:
        kind = DriftKind(name)
        time = datetime.fromisoformat(moment)
        chosen = float(strength) if star else DEFAULT_STRENGTH[kind]
    except ValueError as error:
        kinds = ", ".join(DriftKind)
        raise SimulatorError(
            f"drift {text!r} is not KIND@MOMENT or KIND*STRENGTH@MOMENT, "
            f"where KIND is one of {kinds} and MOMENT such as 2026-02-20"
        ) from error
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    return Drift(kind, round(time.timestamp() * 1000), chosen)


def _faults(config: SimulatorConfig) -> Iterable[str]:
    for name in ("days", "customers", "terminals"):
        if getattr(config, name) < 1:
            yield f"{name} must be at least 1"
    if config.seed < 0:
        yield "seed must not be negative"
    end_ms = config.start_ms + config.days * _DAY_MS
    for drift in config.drifts:
        if drift.strength <= 0:
            yield f"the strength of {drift.kind} must be positive"
        if drift.kind is DriftKind.TERMINALS_SILENT and drift.strength > 1:
            yield "the strength of terminals_silent is a share, at most 1"
        if not config.start_ms <= drift.at_ms < end_ms:
            yield f"{drift.kind} begins outside of the simulated days"
