"""Whole Headrace processes, as an operator runs them, against the session's servers."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from deploy.running import running
from deploy.stack.layout import FETCHED_VARIABLE, STATE_VARIABLE, Layout
from streams.pipeline import TOPIC_KINDS, Pipeline
from streams.records import DeadLetter, Outcome, Prediction
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import group_lag

READY_S = 60.0
T = TypeVar("T")


def wait_until(condition: Callable[[], bool], timeout_s: float, message: str) -> None:
    """Returns when `condition()` holds; fails with `message` after `timeout_s`."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"{message} (after {timeout_s:g} s)"
        time.sleep(0.05)


@dataclass
class Process:
    """One `headrace` process with its output in a file."""

    popen: subprocess.Popen[bytes]
    log: Path

    def output(self) -> str:
        return self.log.read_text(errors="replace")

    def kill(self) -> None:
        self.popen.kill()
        self.popen.wait(10)

    def stop(self, timeout_s: float = 30.0) -> int:
        self.popen.send_signal(signal.SIGTERM)
        return self.popen.wait(timeout_s)


@dataclass
class Headrace:
    """An installation: a state folder, a working folder for pipelines, addresses."""

    layout: Layout
    folder: Path
    bootstrap: str
    processes: list[Process] = field(default_factory=list)

    def environment(self, extra: Mapping[str, str] | None = None) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        return clean | {
            STATE_VARIABLE: str(self.layout.state),
            FETCHED_VARIABLE: str(self.layout.fetched),
            **(extra or {}),
        }

    def run(
        self, *arguments: str, env: Mapping[str, str] | None = None, timeout_s: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "deploy.cli", *arguments],
            cwd=self.folder,
            env=self.environment(env),
            capture_output=True,
            check=False,
            text=True,
            timeout=timeout_s,
            stdin=subprocess.DEVNULL,
        )

    def do(self, *arguments: str, timeout_s: float = 120) -> str:
        """Runs a command that must succeed; its output."""
        done = self.run(*arguments, timeout_s=timeout_s)
        assert done.returncode == 0, f"headrace {' '.join(arguments)}:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self, *arguments: str, env: Mapping[str, str] | None = None) -> Process:
        """Starts a command that goes on; ended with the test."""
        log = self.folder / f"process-{len(self.processes)}.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", *arguments],
                cwd=self.folder,
                env=self.environment(env),
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        process = Process(popen, log)
        self.processes.append(process)
        return process

    def start_ready(
        self, role: str, reference: str, env: Mapping[str, str] | None = None
    ) -> Process:
        """Starts a worker or monitor and waits until it owns partitions."""
        process = self.start(role, reference, env=env)

        def ready() -> bool:
            assert process.popen.poll() is None, f"{role} ended:\n{process.output()}"
            mine = [p for p in running(self.layout) if p.pid == process.popen.pid]
            return bool(mine) and answers(mine[0].metrics_url.replace("/metrics", "/ready"))

        wait_until(ready, READY_S, f"{role} is not ready:\n{process.output()}")
        return process

    def transport(self, group: str = "system-test") -> TransportSettings:
        return TransportSettings(bootstrap=self.bootstrap, group_id=group)

    def wait_through(self, pipeline: Pipeline, role: str, topics: Sequence[str]) -> None:
        """Waits until a role's group has committed all that the topics hold."""
        transport = self.transport(f"headrace-{pipeline.name}-{role}")
        names = [pipeline.topic(kind) for kind in topics]
        wait_until(
            lambda: sum(group_lag(transport, names).values()) == 0,
            90,
            f"the {role} does not catch up",
        )

    def predictions(self, pipeline: Pipeline) -> list[Prediction]:
        return self._read(pipeline, "predictions", Prediction)

    def dead_letters(self, pipeline: Pipeline) -> list[DeadLetter]:
        return self._read(pipeline, "deadletters", DeadLetter)

    def outcomes(self, pipeline: Pipeline) -> list[Outcome]:
        return self._read(pipeline, "outcomes", Outcome)

    def _read(self, pipeline: Pipeline, kind: str, record: type[T]) -> list[T]:
        assert kind in TOPIC_KINDS
        decode = msgspec.json.Decoder(record).decode
        return [
            decode(r.value() or b"")
            for batch in read_topic(self.transport(), pipeline.topic(kind))
            for r in batch
        ]

    def end_all(self) -> None:
        for process in self.processes:
            if process.popen.poll() is None:
                process.kill()


def answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5):
        return True
    return False


def code_blocks(markdown: str, kind: str) -> Iterator[tuple[str, str]]:
    """(attribute text, code) of every fenced block of one kind."""
    for head, code in re.findall(r"^```(\S+(?: [^\n]*)?)\n(.*?)^```", markdown, re.M | re.S):
        language, _, attributes = head.partition(" ")
        if language == kind:
            yield attributes, code
