"""Moments on the command line: a day or a time, UTC unless it says otherwise."""

from __future__ import annotations

from datetime import UTC, datetime

import click


class Moment(click.ParamType):
    """`2026-02-05` or `2026-02-05T12:30:00+01:00`; becomes milliseconds since the epoch."""

    name = "moment"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """The moment in milliseconds since the epoch, UTC."""
        if isinstance(value, int):
            return value
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is not a day or time: write it like 2026-02-05", param, ctx)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)


MOMENT = Moment()


def shown(time_ms: int) -> str:
    """A moment as people read it: `2026-02-05 12:30 UTC`."""
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
