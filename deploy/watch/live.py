"""Draws the view again and again, or once."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from deploy.running import RunningProcess
from deploy.watch.reading import Change, Reading, read
from deploy.watch.view import view

WINDOW_S = 10.0


@dataclass(frozen=True, slots=True)
class WatchOptions:
    """How to watch.

    Attributes
    ----------
    refresh_s:
        Seconds between two looks.
    once:
        Print one view, of the rates over one `refresh_s`, and return.
    """

    refresh_s: float = 1.0
    once: bool = False


def watch(
    pipeline: str,
    find: Callable[[], list[RunningProcess]],
    console: Console,
    options: WatchOptions,
    *,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
    wall: Callable[[], float] = time.time,
) -> bool:
    """Show what runs, until interrupted or, with `once`, one time.

    `find` names the processes to look at, anew each time, so that those that join are seen.
    Without a terminal, views are printed one below the other. Returns whether anything ran.
    """
    readings: deque[Reading] = deque(maxlen=max(2, round(WINDOW_S / options.refresh_s)))
    readings.append(read(find(), clock))
    if options.once:
        if not readings[0].processes:
            console.print(_nothing(pipeline, readings[0]))
            return False
        sleep(options.refresh_s)
        readings.append(read(find(), clock))
        console.print(_draw(pipeline, readings, console, wall))
        return True
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            drawn = _draw(pipeline, readings, console, wall)
            if console.is_terminal:
                live.update(drawn, refresh=True)
            else:
                console.print(drawn, "")
            sleep(options.refresh_s)
            readings.append(read(find(), clock))


def _draw(
    pipeline: str, readings: deque[Reading], console: Console, wall: Callable[[], float]
) -> RenderableType:
    if not readings[-1].processes:
        return _nothing(pipeline, readings[-1])
    return view(pipeline, Change(readings[0], readings[-1]), console.width, wall())


def _nothing(pipeline: str, reading: Reading) -> Text:
    if reading.silent:
        named = ", ".join(f"{process.role} {process.pid}" for process in reading.silent)
        return Text(f"{pipeline}: {named} runs but does not answer at its metrics address.")
    return Text(
        f"Nothing runs for {pipeline}. Start it in another terminal: "
        f"headrace worker {pipeline}   (and: headrace monitor {pipeline})"
    )
