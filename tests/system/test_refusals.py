"""A process that cannot work says why in one line, and waits or ends as it is documented."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator

import pytest

from streams.transport.topics import TopicSpec, ensure_topics
from tests.system.conftest import Case
from tests.system.headrace import Headrace, Process, wait_until

pytestmark = pytest.mark.system


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of loopback where nobody answers, kept from others."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def waits_saying(process: Process, *texts: str) -> None:
    """The process is alive and has said all of `texts` in one line."""

    def said() -> bool:
        assert process.popen.poll() is None, f"it ended:\n{process.output()}"
        return any(all(t in line for t in texts) for line in process.output().splitlines())

    wait_until(said, 40, f"it did not say {texts}:\n{process.output()}")


def ends_saying(process: Process, *texts: str) -> None:
    """The process ends with exit code 1 and says all of `texts` in its last line."""
    assert process.popen.wait(40) == 1, process.output()
    last = process.output().strip().splitlines()[-1]
    assert all(text in last for text in texts), process.output()
    assert "Traceback" not in process.output()


def test_no_stack(headrace: Headrace) -> None:
    headrace.layout.addresses.unlink()
    done = headrace.run("worker", "fraud")
    assert done.returncode == 1
    assert done.stderr.strip().endswith("start it with `headrace up`.")


def test_no_broker_is_waited_for(headrace: Headrace, trained: Case, closed_port: int) -> None:
    env = {"HEADRACE_KAFKA__BOOTSTRAP": f"127.0.0.1:{closed_port}"}
    worker = headrace.start("worker", trained.reference, env=env)
    waits_saying(worker, f"127.0.0.1:{closed_port}", "trying again")
    assert worker.stop() == 0


def test_no_store_is_waited_for(headrace: Headrace, trained: Case, closed_port: int) -> None:
    env = {"HEADRACE_STORE__URL": f"redis://:hunter2@127.0.0.1:{closed_port}/0"}
    worker = headrace.start("worker", trained.reference, env=env)
    waits_saying(worker, f"127.0.0.1:{closed_port}", "waiting for it")
    assert "hunter2" not in worker.output()
    assert worker.stop() != 1


def test_wrong_credentials_of_the_store_end_a_worker(headrace: Headrace, trained: Case) -> None:
    address = headrace.layout.addresses.read_text().partition("redis://")[2].partition("/0")[0]
    env = {"HEADRACE_STORE__URL": f"redis://nobody:hunter2@{address}/0"}
    worker = headrace.start("worker", trained.reference, env=env)
    ends_saying(worker, address, "refused", "URL")
    assert "hunter2" not in worker.output()


def test_no_triton_is_stood_in_for_by_the_local_model(
    headrace: Headrace, trained: Case, closed_port: int
) -> None:
    env = {"HEADRACE_TRITON__URL": f"127.0.0.1:{closed_port}"}
    worker = headrace.start("worker", trained.reference, env=env)
    waits_saying(worker, f"127.0.0.1:{closed_port}", "local model")
    data = ("--data", str(trained.file), "--from", "2026-02-10", "--max-events", "50")
    headrace.do("replay", trained.reference, *data, "--no-labels")
    headrace.wait_through(trained.pipeline, "worker", ["events"])
    predictions = headrace.predictions(trained.pipeline)
    assert len(predictions) == 50
    assert {tuple(p.degraded) for p in predictions} == {("local_model",)}
    assert worker.stop() == 0


def test_a_topic_of_another_partition_count(headrace: Headrace, case: Case) -> None:
    topic = case.pipeline.topic("events")
    ensure_topics(headrace.transport(), [TopicSpec(topic, partitions=3)])
    done = headrace.run("prepare", case.reference)
    assert done.returncode == 1
    assert f"{topic} has 3 partitions, 4 are configured" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_no_topics(headrace: Headrace, trained: Case) -> None:
    other = headrace.folder / "unprepared.py"
    other.write_text(
        "from dataclasses import replace\n"
        f"from {trained.pipeline.name} import PIPELINE as P\n"
        f"PIPELINE = replace(P, name='{trained.pipeline.name}x')\n"
    )
    worker = headrace.start("worker", "unprepared:PIPELINE")
    ends_saying(worker, f"{trained.pipeline.name}x.events", "headrace prepare")


def test_no_champion(headrace: Headrace, case: Case) -> None:
    headrace.do("prepare", case.reference)
    ends_saying(headrace.start("worker", case.reference), "no champion", "headrace train")


def test_a_store_without_functions(headrace: Headrace, trained: Case) -> None:
    address = _flush_functions(headrace)
    ends_saying(headrace.start("worker", trained.reference), address, "headrace prepare")


def test_functions_that_vanish_end_a_monitor_without_losing_anything(
    headrace: Headrace, trained: Case
) -> None:
    data = ("--data", str(trained.file), "--from", "2026-02-10", "--max-events", "20")
    headrace.do("replay", trained.reference, *data, "--no-labels")
    worker = headrace.start_ready("worker", trained.reference)
    headrace.wait_through(trained.pipeline, "worker", ["events"])
    assert worker.stop() == 0
    _flush_functions(headrace)
    ends_saying(headrace.start("monitor", trained.reference), "headrace prepare")
    assert headrace.dead_letters(trained.pipeline) == []
    headrace.do("prepare", trained.reference)
    monitor = headrace.start_ready("monitor", trained.reference)
    headrace.wait_through(trained.pipeline, "monitor", ["predictions"])
    assert monitor.stop() == 0


def _flush_functions(headrace: Headrace) -> str:
    """Removes every function from the store; returns its address."""
    address = headrace.layout.addresses.read_text().partition("redis://")[2].partition("/0")[0]
    host, _, port = address.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(b"FUNCTION FLUSH\r\n")
        assert connection.recv(16) == b"+OK\r\n"
    return address


@pytest.mark.parametrize(
    ("reference", "text"),
    [
        ("nonsense", "no shipped pipeline has this name"),
        ("no_such_module:PIPELINE", "cannot be imported"),
        ("streams.pipelines.fraud:NOTHING", "has no Pipeline named 'NOTHING'"),
    ],
)
def test_no_such_pipeline(headrace: Headrace, reference: str, text: str) -> None:
    done: subprocess.CompletedProcess[str] = headrace.run("worker", reference)
    assert done.returncode == 1
    assert text in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting(headrace: Headrace) -> None:
    done = headrace.run("worker", "fraud", env={"HEADRACE_KAFKA__BOTSTRAP": "x"})
    assert done.returncode == 1
    assert "HEADRACE_KAFKA__BOTSTRAP: there is no such setting" in done.stderr
