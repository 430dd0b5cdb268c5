"""Ports of the stack: chosen once, remembered, and kept for as long as they are free."""

import json
import random
import socket
from collections.abc import Callable, Container, Sequence
from pathlib import Path

from deploy.errors import StackError
from deploy.stack.files import read_json, write_json

LOOPBACK = "127.0.0.1"
# Below the range from which Linux takes the ports of outgoing connections (32768 and up), so
# that a port chosen now is not in use by a client when the server wants it.
PORT_RANGE = range(20_000, 32_000)
MAX_TRIES = 200


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


class PortBook:
    """Remembers one port per name in a JSON file.

    `say` receives one line for each remembered port that somebody else has taken meanwhile.
    A damaged book costs nothing but other ports: it is started afresh.
    """

    def __init__(
        self,
        path: Path,
        *,
        rng: random.Random,
        say: Callable[[str], None],
        free: Callable[[int], bool] = is_free,
    ) -> None:
        self._path = path
        self._rng = rng
        self._say = say
        self._free = free

    def choose(self, names: Sequence[str], *, avoid: Container[int] = ()) -> dict[str, int]:
        """Returns a free port for each name, the remembered one where it is still free.

        Ports of other names in the book and those in `avoid` (held by running servers) are
        not given out. Raises StackError when the whole range is taken.
        """
        book = self._read()
        for name in names:
            port = book.get(name)
            if port is not None and (port in avoid or not self._free(port)):
                self._say(f"Port {port} of {name} is taken by another process; choosing another.")
                port = None
            book[name] = self._pick(book, avoid) if port is None else port
        write_json(self._path, book)
        return {name: book[name] for name in names}

    def _pick(self, book: dict[str, int], avoid: Container[int]) -> int:
        taken = set(book.values())
        for _ in range(MAX_TRIES):
            port = self._rng.choice(PORT_RANGE)
            if port not in taken and port not in avoid and self._free(port):
                return port
        raise StackError(
            f"No free port between {PORT_RANGE.start} and {PORT_RANGE.stop - 1} after "
            f"{MAX_TRIES} tries: end some of the servers that listen on {LOOPBACK}."
        )

    def _read(self) -> dict[str, int]:
        try:
            book = read_json(self._path)
        except json.JSONDecodeError:
            return {}
        return {name: port for name, port in book.items() if isinstance(port, int)}
