"""How the report writes numbers and times: one way for each, and a dash where there is none."""

from __future__ import annotations

from datetime import UTC, datetime

NONE = "–"


def event_time(time_ms: int | None) -> str:
    """An event time, UTC, to the minute."""
    if time_ms is None:
        return NONE
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


def clock_time(time_ms: int | None) -> str:
    """A wall-clock time, UTC, to the second."""
    if time_ms is None:
        return NONE
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def whole(number: float | None) -> str:
    """A count: 1,234,567."""
    return NONE if number is None else f"{number:,.0f}"


def ms(value: float | None) -> str:
    """Milliseconds with three figures that matter: 0.42, 12.3, 1,234."""
    if value is None:
        return NONE
    digits = 2 if value < 10 else 1 if value < 100 else 0
    return f"{value:,.{digits}f}"


def share(value: float | None) -> str:
    """A metric between 0 and 1, three digits."""
    return NONE if value is None else f"{value:.3f}"


def percent(value: float | None) -> str:
    """A share in percent."""
    return NONE if value is None else f"{100 * value:.1f}\u00a0%"


def hours(value: float | None) -> str:
    """A span of event time in hours, in days when it is long."""
    if value is None:
        return NONE
    return f"{value:.1f} h" if abs(value) < 72 else f"{value / 24:.1f} days"
