"""Which process is ours: a pid alone does not say, since the kernel gives pids out again."""

import contextlib
import os
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
MARK_VARIABLE = "HEADRACE_SERVICE"
DEAD_STATES = "ZX"


@dataclass(frozen=True)
class Identity:
    """A process for as long as the machine runs: no later process compares equal.

    `start_ticks` is the kernel's start time of the process in clock ticks since the boot
    that `boot_id` names (proc_pid_stat(5), field 22).
    """

    pid: int
    start_ticks: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """The identity of a living process; None for no process and for a zombie."""
        try:
            stat = (PROC / str(pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            return None
        # The name in field 2 may hold spaces and brackets: count from its last bracket.
        fields = stat.rpartition(")")[2].split()
        if fields[0] in DEAD_STATES:
            return None
        return cls(pid, int(fields[19]), boot_id())

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return Identity.of(self.pid) == self

    def send(self, number: signal.Signals) -> bool:
        """Signals this very process; False when it is gone.

        The signal goes through a pidfd that is opened before the identity is compared, so it
        cannot reach a process that got the same pid in between.
        """
        try:
            descriptor = os.pidfd_open(self.pid)
        except ProcessLookupError:
            return False
        try:
            if not self.alive():
                return False
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
        return True


def boot_id() -> str:
    """Names this run of the machine."""
    return (PROC / "sys/kernel/random/boot_id").read_text().strip()


def marked(mark: str) -> list[Identity]:
    """Every living process of this user that was started with the mark in its environment.

    Finds what a run record cannot name: children that outlived their server, and a server
    whose starter was killed before it could write the record.
    """
    wanted = f"{MARK_VARIABLE}={mark}".encode()
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            environment = (folder / "environ").read_bytes()
        except OSError:
            continue
        if wanted in environment.split(b"\0"):
            identity = Identity.of(int(folder.name))
            found += [identity] if identity else []
    return found
