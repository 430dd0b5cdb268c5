"""One server process: started detached, recorded, followed, and stopped without mistakes."""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from deploy.errors import MissingTool
from deploy.stack.files import read_json, tail, write_json
from deploy.stack.identity import MARK_VARIABLE, Identity, marked
from deploy.stack.layout import ServiceFiles

MAX_LOG_BYTES = 32 * 1024 * 1024
POLL_S = 0.05
KILL_WAIT_S = 5.0
PASSED_ON = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "TZ", "USER")


@dataclass(frozen=True)
class Command:
    """A program with its arguments; `env` is laid over the few variables passed on."""

    argv: list[str]
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """What is written down about a started server: who it is and where it listens."""

    identity: Identity
    ports: dict[str, int]
    started_at_s: float

    def to_json(self) -> dict[str, Any]:
        """The record as the run file holds it."""
        who = self.identity
        return {
            "pid": who.pid,
            "start_ticks": who.start_ticks,
            "boot_id": who.boot_id,
            "ports": self.ports,
            "started_at_s": self.started_at_s,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "RunRecord":
        """Reads the record back; raises KeyError, TypeError or ValueError when it is not one."""
        identity = Identity(
            int(content["pid"]), int(content["start_ticks"]), str(content["boot_id"])
        )
        ports = {str(name): int(port) for name, port in dict(content["ports"]).items()}
        return cls(identity, ports, float(content["started_at_s"]))


class ServiceProcess:
    """The process of one server, known by the record in its `pid` file.

    It lives in a session of its own, so neither Ctrl-C nor the end of its starter reaches it.
    """

    def __init__(
        self,
        files: ServiceFiles,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self.files = files
        self._clock = clock
        self._wall_clock = wall_clock
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def mark(self) -> str:
        """What every process of this server carries in its environment."""
        return str(self.files.folder)

    def start(self, command: Command, ports: Mapping[str, int]) -> RunRecord:
        """Starts the server and writes its record; does not wait until it is ready.

        Raises MissingTool when the program does not exist or may not be run.
        """
        self.files.folder.mkdir(parents=True, exist_ok=True)
        self._cut_log()
        environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        environment |= {**command.env, MARK_VARIABLE: self.mark}
        with self.files.log.open("ab") as log:
            try:
                self._child = subprocess.Popen(
                    command.argv,
                    env=environment,
                    cwd=self.files.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            except OSError as error:
                raise MissingTool(f"Cannot start {command.argv[0]}: {error.strerror}.") from error
        return self._write_record(self._child.pid, ports)

    def _write_record(self, pid: int, ports: Mapping[str, int]) -> RunRecord:
        # A server that is dead already still gets a record, so that it counts as crashed.
        identity = Identity.of(pid) or Identity(pid, 0, "ended")
        record = RunRecord(identity, dict(ports), self._wall_clock())
        write_json(self.files.pid, record.to_json())
        return record

    def record(self) -> RunRecord | None:
        """What was started last and not stopped; None when nothing was, or it is unreadable."""
        try:
            content = read_json(self.files.pid)
            return RunRecord.from_json(content) if content else None
        except (json.JSONDecodeError, KeyError, TypeError, ValueError):
            return None

    def running(self) -> RunRecord | None:
        """The record of the server when its process lives."""
        self._reap()
        record = self.record()
        return record if record and record.identity.alive() else None

    def crashed(self) -> bool:
        """Whether the server was started, not stopped, and is gone."""
        return self.files.pid.exists() and self.running() is None

    def exit_code(self) -> int | None:
        """The exit code, where this very object started the server and it has ended."""
        self._reap()
        return self._child.returncode if self._child else None

    def stop(self, deadline_s: float) -> int:
        """Ends the server and whatever it started; returns how many processes were ended.

        SIGTERM first, to the server alone (it ends its own children); SIGKILL to all that is
        left after `deadline_s`. A process that is neither the recorded one nor marked is never
        touched.
        """
        found = self._members()
        record = self.record()
        leaders = [who for who in found if record and who == record.identity]
        for who in leaders or found:
            who.send(signal.SIGTERM)
        if not self._gone(deadline_s):
            for who in self._members():
                who.send(signal.SIGKILL)
            self._gone(KILL_WAIT_S)
        self.files.pid.unlink(missing_ok=True)
        return len(found)

    def log_tail(self, lines: int) -> list[str]:
        """The last lines of the server's log, oldest first."""
        return tail(self.files.log, lines)

    def _members(self) -> set[Identity]:
        """The recorded process and every marked one: either alone can be missing."""
        record = self.running()
        return {*marked(self.mark), *([record.identity] if record else [])}

    def _gone(self, deadline_s: float) -> bool:
        deadline = self._clock() + deadline_s
        while True:
            if not self._members():
                return True
            if self._clock() > deadline:
                return False
            time.sleep(POLL_S)

    def _reap(self) -> None:
        if self._child is not None:
            self._child.poll()

    def _cut_log(self) -> None:
        log = self.files.log
        with contextlib.suppress(FileNotFoundError):
            if log.stat().st_size > MAX_LOG_BYTES:
                log.replace(Path(f"{log}.old"))
