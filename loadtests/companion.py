"""A process beside the sending one: told by one line what to do, and ended with its parent.

The order goes to its standard input as one line of JSON; the end of that input is the end of the
process, so that it never outlives who started it. On its standard output it says `ready`, or in one
line why it cannot.
"""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, TypeVar

import msgspec

from loadtests.errors import CompanionEnded
from streams.errors import StreamError

Order = TypeVar("Order", bound=msgspec.Struct)
Stopped = Callable[[], bool]

READY = "ready"
READY_S = 30.0
STOP_S = 10.0


class Companion:
    """A companion as its parent sees it: a context that starts it, and in the end stops it.

    Entering raises `CompanionEnded` when it is not ready within 30 s.
    """

    def __init__(self, module: str, order: msgspec.Struct) -> None:
        self._module = module
        self._order = order
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Companion:
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C goes to the parent, which ends its companions in order.
            start_new_session=True,
        )
        try:
            told, said = _pipes(self._process)
            told.write(msgspec.json.encode(self._order).decode() + "\n")
            told.flush()
            self._wait_ready(said)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def require_alive(self) -> None:
        """Raise `CompanionEnded`, with what it said last, when it has ended."""
        process = self._process
        if process is not None and (code := process.poll()) is not None:
            said = _pipes(process)[1].read().strip() or f"it said nothing (exit code {code})"
            raise CompanionEnded(f"{self._module} ended during the run: {said}")

    def stop(self) -> None:
        """Tell it to end, and end it when it has not within 10 s; harmless when it is gone."""
        process, self._process = self._process, None
        if process is None:
            return
        told, said = _pipes(process)
        try:
            told.close()
            process.wait(STOP_S)
        except (BrokenPipeError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        said.close()

    def _wait_ready(self, said: IO[str]) -> None:
        if not select.select([said], [], [], READY_S)[0]:
            raise CompanionEnded(f"{self._module} was not ready within {READY_S:.0f} s")
        line = said.readline().strip()
        if line != READY:
            raise CompanionEnded(f"{self._module} did not start: {line or 'its reason is above'}")


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    """What is told to the process, and what it says."""
    if process.stdin is None or process.stdout is None:
        raise ValueError("a companion is started with pipes")
    return process.stdin, process.stdout


def serve(order: type[Order], work: Callable[[Order, Callable[[], None], Stopped], None]) -> None:
    """The whole life of a companion: `work(order, say_ready, stopped)` until the parent is done.

    Ends the process with status 1, saying why, when Kafka refuses.
    """
    told = msgspec.json.decode(sys.stdin.readline(), type=order)
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, name="parent", daemon=True).start()
    try:
        work(told, lambda: print(READY, flush=True), ended.is_set)
    except StreamError as error:
        print(error, flush=True)
        sys.exit(1)


def wait_until(
    condition: Callable[[], bool],
    deadline_s: float,
    meanwhile: Callable[[], None],
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> bool:
    """Whether `condition()` came to hold within `deadline_s`; calls `meanwhile` between looks."""
    give_up_at = clock() + deadline_s
    while not condition():
        if clock() > give_up_at:
            return False
        meanwhile()
        sleep(0.01)
    return True
