"""The main job: the demo ends with its report, and Ctrl-C leaves nothing running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.stack.identity import MARK_VARIABLE
from deploy.stack.layout import FETCHED_VARIABLE, STATE_VARIABLE, Layout
from tests.system.headrace import Process, wait_until

pytestmark = pytest.mark.system

Start = Callable[..., Process]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def start(stack_layout: Layout, state: Path, tmp_path: Path) -> Start:
    def run(*arguments: str) -> Process:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HEADRACE_")}
        log = tmp_path / "demo.log"
        with log.open("wb") as out:
            popen = subprocess.Popen(
                [sys.executable, "-m", "deploy.cli", "demo", *arguments],
                env=clean
                | {STATE_VARIABLE: str(state), FETCHED_VARIABLE: str(stack_layout.fetched)},
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        return Process(popen, log)

    return run


def left_running(state: Path) -> list[int]:
    """Processes that carry the mark of a service of this state folder."""
    found = []
    for environ in Path("/proc").glob("[0-9]*/environ"):
        try:
            variables = environ.read_bytes().split(b"\0")
        except OSError:
            continue
        if any(v.startswith(f"{MARK_VARIABLE}={state}".encode()) for v in variables):
            found.append(int(environ.parent.name))
    return found


def test_a_demo_streams_predicts_joins_finds_and_reports(start: Start, state: Path) -> None:
    demo = start("--rate", "5000")
    assert demo.popen.wait(400) == 0, demo.output()
    assert left_running(state) == []
    latest = state / "reports" / "latest"
    summary = json.loads((latest / "summary.json").read_text())
    assert summary["events"] >= 200_000
    assert summary["predictions"] == summary["events"]
    assert summary["dead_letters"] == summary["missing"] == 0
    assert summary["labels"]["outcomes"] == summary["events"]
    assert {"champion", "river_logistic"} <= set(summary["quality"])
    for drift in summary["drift"]:
        assert drift["found_at_ms"] is not None, drift
    assert summary["alerts"]["before_injection"] == 0
    page = (latest / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert str(latest.resolve() / "report.html") in demo.output()


@pytest.mark.fault
@pytest.mark.parametrize("moment", ["s  simulating", "worker and monitor are ready"])
def test_an_interrupted_demo_leaves_nothing_running(start: Start, state: Path, moment: str) -> None:
    demo = start()
    wait_until(lambda: moment in demo.output(), 120, f"the demo does not say {moment!r}")
    assert left_running(state) != []
    demo.popen.send_signal(signal.SIGINT)
    assert demo.popen.wait(60) == 130, demo.output()
    assert left_running(state) == []
    assert "Traceback" not in demo.output()
