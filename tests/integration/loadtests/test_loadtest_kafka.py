"""Load tests through a real broker: a system that stalls, one that is not there, and the peer."""

from __future__ import annotations

import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from loadtests import run as running
from loadtests.companion import Companion
from loadtests.errors import CompanionEnded, NotAnswering
from loadtests.judge import Limits
from loadtests.peers.passthrough import PassThroughOrder
from loadtests.result import read_result
from loadtests.run import PASSTHROUGH, Plan, run
from loadtests.scenarios import SCENARIOS
from streams.errors import TopicMismatch
from streams.pipeline import Pipeline
from streams.pipelines.fraud import PIPELINE as FRAUD
from streams.pipelines.fraud import Payment
from streams.transport.batch import KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import follow, read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec, ensure_topics

pytestmark = pytest.mark.integration

# A machine on which tests run is busy: what is judged here is the system's stall.
PATIENT = Limits(late_ms=5_000)


@pytest.fixture
def transport(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> TransportSettings:
    return TransportSettings(bootstrap=kafka_bootstrap, group_id=topic_name("group"))


@pytest.fixture
def pipeline(transport: TransportSettings, topic_name: Callable[[str], str]) -> Pipeline:
    own = replace(FRAUD, name=topic_name("p"), partitions=2)
    ensure_topics(transport, [TopicSpec(own.topic(k), 2) for k in ("events", "predictions")])
    return own


def plan(pipeline: Pipeline, name: str, rate: float, duration_s: float) -> Plan:
    return Plan(
        SCENARIOS[name], pipeline, rate, duration_s, f"lt{time.time_ns()}", 7,
        warm_up_s=1.0, customers=50, limits=PATIENT,
    )  # fmt: skip


class StallingSystem:
    """Answers every event, but stands still once, `lasting_s` long, at the `at`-th event."""

    def __init__(
        self, transport: TransportSettings, pipeline: Pipeline, *, at: int, lasting_s: float
    ) -> None:
        self._transport, self._pipeline = transport, pipeline
        self._at, self._lasting_s = at, lasting_s
        self._ended = threading.Event()
        self.following = threading.Event()
        self.stalled = False
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> StallingSystem:
        self._thread.start()
        assert self.following.wait(30)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(30)

    def _work(self) -> None:
        producer, seen = BatchProducer(self._transport), 0
        producer.connect(30)
        for records in follow(self._transport, self._pipeline.topic("events"), deadline_s=120):
            self.following.set()
            seen += len(records)
            if seen >= self._at and not self.stalled:
                self.stalled = True
                self._ended.wait(self._lasting_s)
            self._answer(producer, records)
            if self._ended.is_set():
                break
        producer.close(5)

    def _answer(self, producer: BatchProducer, records: list[KafkaRecord]) -> None:
        deliveries = Deliveries(producer)
        for record in records:
            event = msgspec.json.decode(record.value() or b"", type=Payment)
            answer = msgspec.json.encode({"id": event.transaction_id, "score": 0.5})
            topic = self._pipeline.topic("predictions")
            producer.send(topic, key=record.key(), value=answer, deliveries=deliveries)
        deliveries.wait(10)


def test_a_stall_of_a_real_system_is_in_the_percentiles(
    transport: TransportSettings, pipeline: Pipeline
) -> None:
    rate, stall_s = 200.0, 1.5
    with StallingSystem(transport, pipeline, at=400, lasting_s=stall_s):
        result = run(plan(pipeline, "steady", rate, 5.0), transport)
    assert result.passed, result.failures
    assert (result.events_sent, result.answered, result.warm_up_events) == (1000, 1000, 200)
    assert (result.repeats, result.strangers) == (0, 0)
    # 300 of 1,000 events fell due while it stood still, and waited 0 to 1.5 s.
    share = stall_s * rate / 1000
    expected_p90_ms = stall_s * 1000 * (1 - 0.1 / share)
    assert result.latency.latency_p90_ms is not None
    assert result.latency.latency_p90_ms >= expected_p90_ms * 0.9
    assert result.latency.latency_max_ms is not None
    assert result.latency.latency_max_ms >= stall_s * 900


@pytest.fixture
def quick_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "PROBE_S", 0.5)


@pytest.mark.usefixtures("quick_probe")
def test_without_a_system_the_run_says_what_to_start(
    transport: TransportSettings, pipeline: Pipeline
) -> None:
    with pytest.raises(NotAnswering, match=r"start the system with `headrace worker"):
        run(plan(pipeline, "steady", 100, 1), transport)
    missing = replace(pipeline, name=f"{pipeline.name}-missing")
    with pytest.raises(TopicMismatch, match="headrace prepare"):
        run(plan(missing, "steady", 100, 1), transport)


def test_a_reader_that_cannot_start_says_why(transport: TransportSettings) -> None:
    order = PassThroughOrder(transport, "no-such-topic", "nor-this")
    with (
        pytest.raises(CompanionEnded, match="no-such-topic"),
        Companion("loadtests.peers.passthrough", order),
    ):
        pass


def test_the_pass_through_answers_every_event_once_unchanged_and_in_order(
    transport: TransportSettings, pipeline: Pipeline
) -> None:
    peer = replace(plan(pipeline, "spike", 300, 3), peer=PASSTHROUGH)
    result = run(peer, transport)
    assert result.passed, result.failures
    assert [p.answered for p in result.phases] == [300, 360, 900, 360]
    assert (result.repeats, result.strangers) == (0, 0)
    events, copies = (by_partition(transport, topic) for topic in peer.topics())
    assert sum(map(len, events.values())) == 1 + 1920
    assert copies == events


def by_partition(
    transport: TransportSettings, topic: str
) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    found: dict[int, list[tuple[bytes | None, bytes | None]]] = {}
    for batch in read_topic(transport, topic):
        for record in batch:
            found.setdefault(record.partition(), []).append((record.key(), record.value()))
    return found


def test_a_ramp_ends_where_the_system_breaks(
    transport: TransportSettings, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "GIVE_UP_S", 1.5)
    ramp = replace(
        plan(pipeline, "ramp", 500, 6), limits=Limits(late_ms=5_000, broken_p99_ms=1_400)
    )
    # It stands still from the middle of the fifth step on, longer than the run lasts.
    with StallingSystem(transport, pipeline, at=1 + 50 + 300 + 75, lasting_s=30):
        result = run(replace(ramp, drain_s=1.0), transport)
    assert result.broken_events_per_s == 250
    assert result.held_events_per_s == 200
    assert result.passed
    assert result.unanswered > 0
    assert len(result.phases) < 11


def test_the_command_writes_what_it_prints(
    kafka_bootstrap: str, tmp_path: Path, topic_name: Callable[[str], str]
) -> None:
    (tmp_path / "own.py").write_text(
        "from dataclasses import replace\n"
        "from streams.pipelines.fraud import PIPELINE as FRAUD\n"
        f"PIPELINE = replace(FRAUD, name={topic_name('p')!r}, partitions=2)\n"
    )
    command = [
        *(sys.executable, "-m", "deploy.cli", "loadtest", "run", "steady"),
        *("--pipeline", "own:PIPELINE", "--peer", PASSTHROUGH, "--bootstrap", kafka_bootstrap),
        *("--rate", "200", "--duration", "1", "--warmup", "0.5", "--arrivals", "poisson"),
        *("--late-limit", "5000", "--json", "result.json"),
    ]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = read_result(tmp_path / "result.json")
    assert result.answered == result.events_sent > 100
    assert f"{result.latency.latency_p50_ms:,.1f}" in done.stdout
    assert "the first 0.5 s warm up and are in no figure" in done.stdout


def test_a_companion_does_not_outlive_a_parent_that_was_killed(
    transport: TransportSettings, pipeline: Pipeline
) -> None:
    order = PassThroughOrder(transport, pipeline.topic("events"), pipeline.topic("predictions"))
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, msgspec.json.encode(order).decode()],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert parent.stderr
    assert parent.stderr.readline() == "ready\n"
    parent.kill()
    parent.wait(10)
    # Both have the same pipe as their standard error: it ends when both are gone.
    assert select.select([parent.stderr], [], [], 20)[0], "the companion lives on"
    assert parent.stderr.read() == ""
    parent.stderr.close()


PARENT = """
import sys, time, msgspec
from loadtests.companion import Companion
from loadtests.peers.passthrough import PassThroughOrder
order = msgspec.json.decode(sys.argv[1], type=PassThroughOrder)
with Companion("loadtests.peers.passthrough", order):
    print("ready", file=sys.stderr, flush=True)
    time.sleep(60)
"""
