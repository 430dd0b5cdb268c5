"""A Triton of a test's own, which it may freeze, kill and start again."""

from __future__ import annotations

import os
import random
import signal
import time
from pathlib import Path

from deploy.stack.layout import Layout
from deploy.stack.stack import Stack
from deploy.stack.triton import Triton


class OwnTriton:
    """One Triton on ports of its own; a restart keeps the ports, and loses what was loaded."""

    def __init__(self, folder: Path, shared: Layout, rng: random.Random) -> None:
        layout = Layout(shared.checkout, folder, shared.fetched)
        self.models = layout.models
        self._stack = Stack(layout, [Triton(layout)], say=print, rng=rng)
        self.url = ""

    def start(self) -> None:
        """Returns when it answers."""
        self.url = f"127.0.0.1:{self._stack.up()['triton-grpc']}"

    def supervise(self) -> None:
        """Starts it again when it has ended by itself."""
        if self._stack.status()[0].state == "crashed":
            print("Triton ended by itself and is started again")
            self.start()

    def kill(self) -> None:
        """Ends it as the kernel would when memory is short."""
        os.kill(self._pid(), signal.SIGKILL)

    def kill_model(self, name: str, version: int) -> None:
        """Ends the process of one model version, as the kernel would when memory is short."""
        model_file = str(self.models / name / str(version) / "model.py")
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal() and model_file in _arguments(entry):
                os.kill(int(entry.name), signal.SIGKILL)
                return
        raise AssertionError(f"no process runs {model_file}")

    def freeze(self) -> None:
        """Stops it without ending it: connections stay, nobody answers."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        # On busy cores some threads still run, and answer, after the signal was sent.
        while not all(_stopped(task) for task in Path(f"/proc/{pid}/task").iterdir()):
            time.sleep(0.001)

    def thaw(self) -> None:
        """Lets it go on."""
        os.kill(self._pid(), signal.SIGCONT)

    def stop(self) -> None:
        """Ends it and its model processes."""
        self._stack.down()

    def log(self) -> str:
        """What it said so far."""
        return Path(self._stack.log_path("triton")).read_text(errors="replace")

    def _pid(self) -> int:
        pid = self._stack.status()[0].pid
        assert pid is not None, "Triton does not run"
        return pid


def _stopped(task: Path) -> bool:
    return task.joinpath("stat").read_text().rpartition(")")[2].split()[0] == "T"


def _arguments(process: Path) -> list[str]:
    try:
        return process.joinpath("cmdline").read_text(errors="replace").split("\0")
    except (FileNotFoundError, ProcessLookupError):
        return []
