"""A server process: known for what it is, stopped whole, and nobody else with it."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.errors import MissingTool
from deploy.stack.files import write_json
from deploy.stack.identity import Identity, marked
from deploy.stack.layout import ServiceFiles
from deploy.stack.process import Command, RunRecord, ServiceProcess
from tests.unit.deploy.stack_services import HAS_CHILD, SILENT, STUBBORN, program


def eventually(condition: Callable[[], bool], message: str, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.01)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ServiceProcess]:
    process = ServiceProcess(ServiceFiles(tmp_path / "server"))
    yield process
    process.stop(0.0)


@pytest.fixture
def bystander() -> Iterator[Identity]:
    """A process that is none of ours, whatever its pid."""
    with subprocess.Popen(["sleep", "600"]) as process:
        identity = Identity.of(process.pid)
        assert identity is not None
        yield identity
        process.kill()


def test_a_recycled_pid_is_never_signalled(bystander: Identity) -> None:
    earlier_process_with_that_pid = replace(bystander, start_ticks=bystander.start_ticks - 1)
    assert not earlier_process_with_that_pid.alive()
    assert not earlier_process_with_that_pid.send(signal.SIGKILL)
    assert bystander.alive()


def test_a_record_from_before_a_reboot_means_nobody(
    server: ServiceProcess, bystander: Identity
) -> None:
    record = RunRecord(replace(bystander, boot_id="an earlier boot"), {"port": 1}, 0.0)
    write_json(server.files.pid, record.to_json())
    assert server.crashed()
    assert server.stop(1.0) == 0
    assert bystander.alive()
    assert not server.files.pid.exists()


def test_a_zombie_is_dead() -> None:
    child = subprocess.Popen(["true"])
    eventually(lambda: Identity.of(child.pid) is None, "the ended child still counts as alive")
    child.wait()


def test_the_name_of_a_program_does_not_confuse(tmp_path: Path) -> None:
    odd = tmp_path / "x) S 1 ("
    shutil.copy("/bin/sleep", odd)
    with subprocess.Popen([odd, "600"]) as process:
        plain = Identity.of(os.getpid())
        identity = Identity.of(process.pid)
        process.kill()
    assert plain is not None
    assert identity is not None
    assert identity.start_ticks >= plain.start_ticks


def test_start_stop_and_start_again(server: ServiceProcess) -> None:
    first = server.start(program(SILENT), {"port": 4711})
    assert server.running() == first
    assert server.record() == first
    eventually(lambda: server.log_tail(5) == ["thinking"], "the log did not get the output")
    assert server.stop(5.0) == 1
    assert server.running() is None
    assert not server.crashed()
    assert server.start(program(SILENT), {}).identity != first.identity


def test_it_lives_in_a_session_of_its_own(server: ServiceProcess) -> None:
    pid = server.start(program(SILENT), {}).identity.pid
    assert os.getsid(pid) == pid != os.getsid(0)


def test_one_that_ignores_sigterm_is_killed_after_its_deadline(server: ServiceProcess) -> None:
    server.start(program(STUBBORN), {})
    eventually(lambda: bool(server.log_tail(1)), "it did not start")
    assert server.stop(0.2) == 1
    assert marked(server.mark) == []


def test_children_that_outlive_their_server_are_ended(server: ServiceProcess) -> None:
    record = server.start(program(HAS_CHILD), {})
    eventually(lambda: len(server.log_tail(5)) == 2, "server and child did not start")
    record.identity.send(signal.SIGKILL)
    eventually(server.crashed, "the kill was not noticed")
    assert server.stop(0.2) == 1
    assert marked(server.mark) == []


def test_a_server_whose_starter_died_before_recording_it_is_found(server: ServiceProcess) -> None:
    server.start(program(SILENT), {})
    server.files.pid.unlink()
    assert server.stop(5.0) == 1
    assert marked(server.mark) == []


def test_a_server_that_overwrites_its_environment_is_found_by_its_record(
    server: ServiceProcess,
) -> None:
    # As programs do that change their process title.
    blank_environment = Command(["/usr/bin/env", "-i", "/bin/sleep", "600"])
    record = server.start(blank_environment, {})
    eventually(lambda: marked(server.mark) == [], "the mark is still there")
    assert server.stop(5.0) == 1
    assert not record.identity.alive()


def test_stopping_touches_no_other_state_folder(server: ServiceProcess, tmp_path: Path) -> None:
    other = ServiceProcess(ServiceFiles(tmp_path / "server-of-another-checkout"))
    server.start(program(SILENT), {})
    record = other.start(program(SILENT), {})
    server.stop(5.0)
    assert other.running() == record
    other.stop(5.0)


def test_damaged_record_counts_as_crashed_and_can_be_cleared(server: ServiceProcess) -> None:
    server.start(program(SILENT), {})
    server.files.pid.write_text('{"pid": ')
    assert server.crashed()
    assert server.stop(5.0) == 1
    assert not server.crashed()


def test_a_missing_program_is_one_sentence(server: ServiceProcess) -> None:
    with pytest.raises(MissingTool, match=r"^Cannot start /no/such/server: No such file"):
        server.start(Command(["/no/such/server"]), {})
