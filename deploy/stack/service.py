"""What the stack knows about a server: how to start it, and how to tell that it is ready."""

import http.client
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from deploy.errors import DiskFull
from deploy.stack.ports import LOOPBACK
from deploy.stack.process import Command

PROBE_TIMEOUT_S = 1.0
MIN_FREE_BYTES = 2 * 1024**3


class Service(Protocol):
    """One external server. Implementations hold paths and settings, never a connection."""

    @property
    def name(self) -> str:
        """The name of its folder, and what people call it."""

    @property
    def port_names(self) -> tuple[str, ...]:
        """The ports it listens on, by names that are unique in the stack."""

    @property
    def start_deadline_s(self) -> float:
        """Seconds within which it must answer."""

    @property
    def stop_deadline_s(self) -> float:
        """Seconds that it is given between SIGTERM and SIGKILL."""

    def prepare(self, ports: Mapping[str, int]) -> None:
        """Writes what the server reads at its start; called before every start, idempotent.

        Raises StackError with one sentence when something is missing.
        """

    def command(self, ports: Mapping[str, int]) -> Command:
        """The program to start."""

    def ready(self, ports: Mapping[str, int]) -> bool:
        """Whether the server answers its own protocol now; takes at most a second."""


def exchange(port: int, request: bytes, answer_bytes: int) -> bytes:
    """Sends one request over loopback TCP and returns up to `answer_bytes` of the answer.

    Returns nothing when nobody listens or the answer does not come within a second.
    """
    try:
        with socket.create_connection((LOOPBACK, port), timeout=PROBE_TIMEOUT_S) as connection:
            connection.sendall(request)
            return connection.recv(answer_bytes)
    except OSError:
        return b""


def http_ok(port: int, path: str) -> bool:
    """Whether a GET over loopback is answered with status 200 within a second."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_TIMEOUT_S)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def require_room(folder: Path, needed_bytes: int = MIN_FREE_BYTES) -> None:
    """Raises DiskFull when the disk under the folder has less room than needed."""
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise DiskFull(
            f"Only {free_bytes / 1024**3:.1f} GB are free under {folder}, and Headrace wants "
            f"{needed_bytes / 1024**3:.0f} GB: free some room, or set HEADRACE_STATE_DIR to a "
            "folder on another disk."
        )
