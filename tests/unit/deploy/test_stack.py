"""The stack as a whole, over small stand-in servers."""

import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.errors import DiskFull, ServiceFailed, StackError
from deploy.stack.identity import marked
from deploy.stack.layout import Layout
from deploy.stack.process import ServiceProcess
from deploy.stack.service import Service, require_room
from deploy.stack.stack import Stack
from tests.unit.deploy.stack_services import BREAKS, SILENT, StandIn
from tests.unit.deploy.test_stack_files import Heard
from tests.unit.deploy.test_stack_process import eventually

INTERRUPTED_UP = """
import random, sys, pathlib
from deploy.stack.interrupt import interrupted_once
from deploy.stack.layout import Layout
from deploy.stack.stack import Stack
from tests.unit.deploy.stack_services import SILENT, StandIn
folder = pathlib.Path(sys.argv[1])
services = [StandIn("good"), StandIn("slow", SILENT, deadline_s=60)]
with interrupted_once(print):
    Stack(Layout(folder, folder, folder), services, say=print, rng=random.Random()).up()
"""


@pytest.fixture
def layout(tmp_path: Path) -> Iterator[Layout]:
    made = Layout(tmp_path, tmp_path, tmp_path)
    yield made
    for folder in made.stack.glob("*/"):
        ServiceProcess(made.service(folder.name)).stop(1.0)


def stack(layout: Layout, *services: Service, heard: Heard | None = None) -> Stack:
    return Stack(layout, services, say=Heard() if heard is None else heard, rng=random.Random())


def pids(of: Stack) -> list[int | None]:
    return [service.pid for service in of.status()]


def mark(layout: Layout, name: str) -> str:
    return str(layout.service(name).folder)


def test_up_twice_starts_once_and_down_twice_is_fine(layout: Layout) -> None:
    first = stack(layout, StandIn("a"), StandIn("b"))
    ports = first.up()
    before = pids(first)
    assert [service.state for service in first.status()] == ["running", "running"]
    # Another command of the same checkout knows of the first only by the files.
    second = stack(layout, StandIn("a"), StandIn("b"))
    assert second.up() == ports
    assert pids(second) == before
    assert second.down() == ["a", "b"]
    assert second.down() == []
    assert [service.state for service in first.status()] == ["stopped", "stopped"]
    assert first.up() == ports
    first.down()


def test_a_crashed_service_is_named_with_its_last_words_and_started_again(layout: Layout) -> None:
    heard = Heard()
    whole = stack(layout, StandIn("a"), StandIn("b"), heard=heard)
    ports = whole.up()
    before = pids(whole)
    victim = ServiceProcess(layout.service("b")).running()
    assert victim is not None
    victim.identity.send(signal.SIGKILL)
    eventually(lambda: whole.status()[1].state == "crashed", "the crash was not noticed")
    assert whole.status()[1].log_tail == (f"listening on {ports['b-port']}",)
    assert whole.up() == ports
    assert heard == ["b had stopped by itself; starting it again."]
    assert pids(whole)[0] == before[0]
    assert pids(whole)[1] != before[1]
    whole.down()


def test_a_service_that_ends_is_named_and_only_what_this_up_started_is_stopped(
    layout: Layout,
) -> None:
    old = stack(layout, StandIn("old"))
    old.up()
    services = (StandIn("old"), StandIn("new"), StandIn("bad", BREAKS))
    with pytest.raises(ServiceFailed) as failure:
        stack(layout, *services).up()
    assert str(failure.value) == (
        "bad stopped while starting (exit code 3). The end of its log:\n"
        "  bad luck: no room for the index"
    )
    states = {service.name: service.state for service in stack(layout, *services).status()}
    assert states == {"old": "running", "new": "stopped", "bad": "stopped"}
    old.down()


def test_a_service_that_does_not_answer_is_given_up_at_its_deadline(layout: Layout) -> None:
    with pytest.raises(ServiceFailed, match=r"^slow did not answer in 1 s\."):
        stack(layout, StandIn("slow", SILENT, deadline_s=0.6)).up()
    assert marked(mark(layout, "slow")) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_up_leaves_nothing_running(layout: Layout, number: signal.Signals) -> None:
    with _up_that_hangs(layout) as running:
        running.send_signal(number)
        running.send_signal(number)
        assert running.wait(timeout=20) != 0
    assert marked(mark(layout, "good")) == marked(mark(layout, "slow")) == []


def test_a_killed_up_leaves_what_the_next_command_handles(layout: Layout) -> None:
    with _up_that_hangs(layout) as running:
        running.kill()
    assert marked(mark(layout, "slow")) != []
    repaired = stack(layout, StandIn("good"), StandIn("slow"))
    with pytest.raises(ServiceFailed, match="slow did not answer"):
        stack(layout, StandIn("good"), StandIn("slow", deadline_s=0.3)).up()
    assert repaired.down() == ["good", "slow"]
    assert marked(mark(layout, "good")) == marked(mark(layout, "slow")) == []
    repaired.up()
    repaired.down()


def _up_that_hangs(layout: Layout) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-c", INTERRUPTED_UP, str(layout.state)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(
        lambda: all(ServiceProcess(layout.service(name)).running() for name in ("good", "slow")),
        "up did not get under way",
    )
    return running


def test_logs_of_an_unknown_service(layout: Layout) -> None:
    with pytest.raises(StackError, match=r"no service 'c': choose from a, b\."):
        stack(layout, StandIn("a"), StandIn("b")).log_path("c")


def test_a_full_disk_is_one_sentence(tmp_path: Path) -> None:
    require_room(tmp_path / "not" / "yet" / "there", needed_bytes=1)
    with pytest.raises(DiskFull, match="free some room, or set HEADRACE_STATE_DIR"):
        require_room(tmp_path, needed_bytes=2**60)
