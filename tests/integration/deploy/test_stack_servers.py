"""`headrace up`, `status`, `logs` and `down` as whole processes over the real servers."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
import tritonclient.grpc
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from deploy.stack.fetch import ensure_fetched
from deploy.stack.identity import marked
from deploy.stack.layout import Layout

pytestmark = pytest.mark.integration

HEADRACE = str(Path(sys.executable).with_name("headrace"))
SERVICES = ("kafka", "valkey", "triton")
UP_DEADLINE_S = 60

MODEL = """
import sys
import triton_python_backend_utils as backend
import xgboost
class TritonPythonModel:
    def execute(self, requests):
        rows = [backend.get_input_tensor_by_name(one, "x").as_numpy() for one in requests]
        sums = [backend.Tensor("y", row.sum(axis=1, keepdims=True)) for row in rows]
        return [backend.InferenceResponse([y]) for y in sums]
"""
CONFIGURATION = """
backend: "python"
max_batch_size: 64
input [{ name: "x" data_type: TYPE_FP32 dims: [3] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [1] }]
instance_group [{ kind: KIND_CPU }]
"""


class Headrace:
    """The command line over one state folder."""

    def __init__(self, state: Path, fetched: Path) -> None:
        self.layout = Layout(state, state, fetched)
        self._environment = {
            **os.environ,
            "HEADRACE_STATE_DIR": str(state),
            "HEADRACE_FETCHED_DIR": str(fetched),
        }

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        with self.start(*arguments) as running:
            out, error = running.communicate(timeout=UP_DEADLINE_S)
        return subprocess.CompletedProcess(arguments, running.returncode, out, error)

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [HEADRACE, *arguments],
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def up(self) -> dict[str, Any]:
        file = self.layout.state / "up.json"
        done = self.run("up", "--json", str(file))
        assert done.returncode == 0, done.stderr
        content: dict[str, Any] = json.loads(file.read_text())
        return content

    def processes(self) -> list[int]:
        marks = [str(self.layout.service(name).folder) for name in SERVICES]
        return [identity.pid for mark in marks for identity in marked(mark)]


@pytest.fixture
def headrace(tmp_path: Path) -> Iterator[Headrace]:
    checkout = Layout.discover()
    ensure_fetched(checkout, print)
    command = Headrace(tmp_path, checkout.fetched)
    yield command
    command.run("down")
    assert command.processes() == []


def eventually(condition: Callable[[], bool], message: str, timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, message
        time.sleep(0.05)


def _pids(report: dict[str, Any]) -> dict[str, int]:
    return {service["name"]: service["pid"] for service in report["services"]}


def _records_in(bootstrap: str, topic: str) -> int:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    partitions = admin.list_topics(topic, timeout=10).topics[topic].partitions
    latest = {TopicPartition(topic, number): OffsetSpec.latest() for number in partitions}
    return sum(end.result(10).offset for end in admin.list_offsets(latest).values())


def _use_kafka(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic("kept", 3)]).values():
        created.result(10)
    failures: list[object] = []
    producer = Producer({"bootstrap.servers": bootstrap, "enable.idempotence": True})
    producer.produce("kept", b"value", on_delivery=lambda error, _: failures.append(error))
    assert producer.flush(10) == 0
    assert failures == [None]


def _use_triton(addresses: dict[str, str]) -> None:
    folder = Path(addresses["model_repository"]) / "sum"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(MODEL)
    (folder / "config.pbtxt").write_text(CONFIGURATION)
    client = tritonclient.grpc.InferenceServerClient(addresses["triton_grpc"])
    assert not client.is_model_ready("sum")
    client.load_model("sum", client_timeout=30)
    assert client.is_model_ready("sum")
    client.close()


def test_the_servers_work_survive_a_crash_and_keep_what_they_were_given(headrace: Headrace) -> None:
    began = time.monotonic()
    first = headrace.up()
    assert time.monotonic() - began < 20
    addresses = first["addresses"]
    _use_kafka(addresses["kafka_bootstrap"])
    redis.from_url(addresses["valkey_url"]).set("kept", 1)
    _use_triton(addresses)
    second = headrace.up()
    assert second["addresses"] == addresses
    assert _pids(second) == _pids(first)

    os.kill(_pids(first)["kafka"], signal.SIGKILL)
    eventually(lambda: headrace.run("status").returncode == 1, "the crash was not noticed")
    report = headrace.run("status").stdout
    assert "kafka stopped by itself. The end of" in report
    assert " INFO " in report.partition("The end of")[2]
    again = headrace.up()
    assert again["addresses"] == addresses
    assert _pids(again) == _pids(first) | {"kafka": _pids(again)["kafka"]}

    assert headrace.run("down").stdout == "Stopped kafka, valkey, triton.\n"
    assert headrace.processes() == []
    assert headrace.up()["addresses"] == addresses
    assert _records_in(addresses["kafka_bootstrap"], "kept") == 1
    assert redis.from_url(addresses["valkey_url"]).get("kept") == b"1"


def test_logs_end_and_go_on(headrace: Headrace) -> None:
    addresses = headrace.up()["addresses"]
    assert "Ready to accept connections" in headrace.run("logs", "valkey", "-n", "1").stdout
    every = headrace.run("logs", "-n", "1").stdout
    assert [line.split()[1] for line in every.splitlines() if line[:2] == "=="] == list(SERVICES)
    unknown = headrace.run("logs", "zookeeper")
    assert unknown.returncode == 1
    assert unknown.stderr == (
        "headrace: There is no service 'zookeeper': choose from kafka, valkey, triton.\n"
    )
    with headrace.start("logs", "valkey", "--follow", "-n", "1") as following:
        assert following.stdout is not None
        following.stdout.readline()
        client = redis.from_url(addresses["valkey_url"])
        client.bgrewriteaof()
        assert "rewrit" in following.stdout.readline()
        following.send_signal(signal.SIGINT)
        assert following.wait(10) == 130


def test_an_up_interrupted_or_killed_while_the_servers_start_leaves_order(
    headrace: Headrace,
) -> None:
    with headrace.start("up") as interrupted:
        eventually(lambda: len(headrace.processes()) >= 2, "up did not get under way")
        interrupted.send_signal(signal.SIGINT)
        assert interrupted.wait(30) == 130
    assert headrace.processes() == []
    with headrace.start("up") as killed:
        eventually(lambda: len(headrace.processes()) >= 2, "up did not get under way")
        killed.kill()
    assert headrace.run("down").returncode == 0
    assert headrace.processes() == []
    headrace.up()
