"""The demo's own worker and monitor: real processes, started, watched and ended."""

from __future__ import annotations

import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from deploy.errors import ServiceFailed
from deploy.running import RunningProcess, running
from deploy.stack.layout import FETCHED_VARIABLE, STATE_VARIABLE, Layout
from deploy.stack.process import Command, ServiceProcess

READY_S = 60.0
ANSWER_S = 5.0
STOP_S = 20.0
POLL_S = 0.1
TAIL_LINES = 20


class DemoProcess:
    """One `headrace` command in a process of its own."""

    def __init__(self, layout: Layout, role: str, pipeline: str) -> None:
        self.role = role
        self._layout = layout
        self._pipeline = pipeline
        self._process = ServiceProcess(layout.service(role))

    def start(self) -> None:
        """Start it; its output goes to the log of its service folder."""
        self._process.start(
            Command(
                [sys.executable, "-m", "deploy.cli", self.role, self._pipeline],
                {
                    STATE_VARIABLE: str(self._layout.state),
                    FETCHED_VARIABLE: str(self._layout.fetched),
                },
            ),
            {},
        )

    def wait_ready(self) -> None:
        """Return when its /ready says yes. Raises `ServiceFailed` with the end of its log."""
        give_up_at = time.monotonic() + READY_S
        while not self._ready():
            self.require_alive()
            if time.monotonic() > give_up_at:
                raise self._failed(f"was not ready within {READY_S:.0f} s")
            time.sleep(POLL_S)

    def require_alive(self) -> None:
        """Raise `ServiceFailed`, with the end of its log, when it has ended."""
        if self._process.running() is None:
            raise self._failed(f"ended by itself (exit code {self._process.exit_code()})")

    def stop(self) -> None:
        """Let it finish what is in flight, then end it; harmless when it is gone."""
        self._process.stop(STOP_S)

    def _found(self) -> RunningProcess | None:
        return next((p for p in running(self._layout) if p.role == self.role), None)

    def _ready(self) -> bool:
        found = self._found()
        if found is None:
            return False
        try:
            url = found.metrics_url.replace("/metrics", "/ready")
            with urllib.request.urlopen(url, timeout=ANSWER_S):  # noqa: S310 - our own process
                return True
        except OSError:
            return False

    def _failed(self, reason: str) -> ServiceFailed:
        return ServiceFailed(f"the {self.role}", reason, self._process.log_tail(TAIL_LINES))


@contextmanager
def started(processes: list[DemoProcess], say: Callable[[str], None]) -> Iterator[None]:
    """Run the processes while the block runs; each is ended whatever happens."""
    try:
        for process in processes:
            process.start()
        for process in processes:
            process.wait_ready()
        yield
    finally:
        say("stopping " + " and ".join(p.role for p in processes))
        for process in reversed(processes):
            process.stop()
