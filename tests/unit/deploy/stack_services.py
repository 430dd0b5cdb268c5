"""Stand-ins for servers: small real processes, so that starting and stopping them is real."""

import sys
from collections.abc import Mapping

from deploy.stack.process import Command
from deploy.stack.service import exchange

ANSWERS = """
import socketserver, sys
print("listening on", sys.argv[1], flush=True)
class Answer(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.sendall(b"yes")
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(("127.0.0.1", int(sys.argv[1])), Answer).serve_forever()
"""
SILENT = "import time; print('thinking', flush=True); time.sleep(600)"
BREAKS = "import sys; print('bad luck: no room for the index', flush=True); sys.exit(3)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SILENT
HAS_CHILD = (
    "import subprocess, sys, time; "
    f"subprocess.Popen([sys.executable, '-c', {STUBBORN!r}]); print('ready', flush=True); "
    "time.sleep(600)"
)


def program(source: str, *arguments: str) -> Command:
    """A Python program as a server's command."""
    return Command([sys.executable, "-c", source, *arguments])


class StandIn:
    """A service that is a small Python program listening on one port."""

    stop_deadline_s = 5.0

    def __init__(self, name: str, source: str = ANSWERS, *, deadline_s: float = 20.0) -> None:
        self.name = name
        self.port_names = (f"{name}-port",)
        self.source = source
        self.start_deadline_s = deadline_s

    def prepare(self, ports: Mapping[str, int]) -> None:
        pass

    def command(self, ports: Mapping[str, int]) -> Command:
        return program(self.source, str(ports[self.port_names[0]]))

    def ready(self, ports: Mapping[str, int]) -> bool:
        return exchange(ports[self.port_names[0]], b"?", 3) == b"yes"
