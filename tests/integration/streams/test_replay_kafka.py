"""Replays through a real broker: nothing lost, keys together and in order, killed and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from deploy.cli.replay import replay
from streams.errors import StreamError
from streams.replay_progress import Checkpoint
from streams.simulator import SimulatorConfig, simulate
from streams.transport.batch import KafkaRecord
from streams.transport.partitioner import partition_for
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from tests.integration.streams.transport.world import wait_until

pytestmark = pytest.mark.integration

PARTITIONS = 3


@pytest.fixture
def own_pipeline(tmp_path: Path, topic_name: Callable[[str], str]) -> Iterator[str]:
    """The fraud pipeline under a name, and so with topics, of its own; as `module:ATTRIBUTE`."""
    module, name = f"pipeline_of_{os.getpid()}_{tmp_path.name.replace('-', '_')}", topic_name("p")
    (tmp_path / f"{module}.py").write_text(
        dedent(f"""
            from dataclasses import replace
            from streams.pipelines.fraud import PIPELINE as FRAUD
            PIPELINE = replace(FRAUD, name={name!r}, partitions={PARTITIONS})
        """)
    )
    sys.path.insert(0, str(tmp_path))
    yield f"{module}:PIPELINE"
    sys.path.remove(str(tmp_path))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    file = tmp_path / "payments.parquet"
    simulate(SimulatorConfig(days=20, customers=120, terminals=300)).write(file)
    return file


@pytest.fixture
def environment(tmp_path: Path, kafka_bootstrap: str) -> dict[str, str]:
    return {
        "HEADRACE_STATE_DIR": str(tmp_path / "state"),
        "HEADRACE_KAFKA__BOOTSTRAP": kafka_bootstrap,
    }


def records(bootstrap: str, pipeline: str, kind: str) -> list[KafkaRecord]:
    module, _, attribute = pipeline.partition(":")
    topic = getattr(sys.modules[module], attribute).topic(kind)
    settings = TransportSettings(bootstrap=bootstrap, group_id="replay-test")
    return [record for batch in read_topic(settings, topic) for record in batch]


def content(record: KafkaRecord) -> dict[str, Any]:
    decoded: dict[str, Any] = json.loads(record.value() or b"")
    return decoded


def test_a_replay_sends_everything_once_keyed_and_in_order(
    own_pipeline: str, data: Path, environment: dict[str, str], kafka_bootstrap: str, tmp_path: Path
) -> None:
    figures = tmp_path / "figures.json"
    arguments = [own_pipeline, "--data", str(data), "--rate", "0", "--json", str(figures)]
    result = CliRunner().invoke(replay, arguments, env=environment, catch_exceptions=False)
    assert result.exit_code == 0, result.output

    said = json.loads(figures.read_text())
    for kind, time_field in (("events", "event_time_ms"), ("labels", "known_at_ms")):
        sent = records(kafka_bootstrap, own_pipeline, kind)
        rows = [content(record) for record in sent]
        assert len(sent) == said[f"{kind}_sent"] > 3000
        assert len({row["transaction_id"] for row in rows}) == len(sent)
        newest: dict[int, int] = {}
        for record, row in zip(sent, rows, strict=True):
            key = row["customer_id"].encode()
            assert record.key() == key
            assert record.partition() == partition_for(key, PARTITIONS)
            assert record.timestamp()[0] == 1
            assert newest.get(record.partition(), 0) <= row[time_field]
            newest[record.partition()] = row[time_field]
        assert len(newest) == PARTITIONS
    assert said["finished"]
    assert said["records_confirmed"] == said["events_sent"] + said["labels_sent"]


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_stopped_or_killed_replay_goes_on_and_leaves_nothing_out(
    end: signal.Signals,
    own_pipeline: str,
    data: Path,
    environment: dict[str, str],
    kafka_bootstrap: str,
    tmp_path: Path,
) -> None:
    arguments = [own_pipeline, "--data", str(data), "--rate", "1500"]
    command = [
        sys.executable,
        "-c",
        "from deploy.cli.main import main; main()",
        "replay",
        *arguments,
    ]
    process = subprocess.Popen(
        command,
        env={**os.environ, **environment, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    state = tmp_path / "state" / "replays"
    try:
        wait_until(lambda: _confirmed(state) > 1000, 30, "a thousand confirmed records")
        process.send_signal(end)
        output = process.communicate(timeout=30)[0].decode()
    finally:
        process.kill()
        process.wait()
    stopped_at = _confirmed(state)
    assert process.returncode == (130 if end is signal.SIGINT else -signal.SIGKILL), output
    assert ("--resume" in output) == (end is signal.SIGINT)

    rest = CliRunner().invoke(
        replay, [*arguments[:3], "--rate", "0", "--resume"], env=environment, catch_exceptions=False
    )
    assert rest.exit_code == 0, rest.output
    again = 0
    for kind in ("events", "labels"):
        counts = Counter(
            content(r)["transaction_id"] for r in records(kafka_bootstrap, own_pipeline, kind)
        )
        assert set(counts) == set(_ids(data))
        again += sum(counts.values()) - len(counts)
    if end is signal.SIGINT:
        assert again == 0
    # What is sent again was sent after the last confirmation that was remembered.
    assert again <= 2 * 1500 + 512
    assert stopped_at > 1000


def test_what_cannot_be_replayed_is_said_in_a_line(
    data: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    lacking = tmp_path / "lacking.csv"
    lacking.write_text("a,b\n1,2\n")
    for arguments, words in (
        (["fraud", "--data", str(lacking)], "has no column 'TRANSACTION_ID' or 'transaction_id'"),
        (["fraud", "--data", str(data), "--bootstrap", "127.0.0.1:1"], "127.0.0.1:1"),
    ):
        outcome = CliRunner().invoke(replay, arguments, env=environment)
        assert isinstance(outcome.exception, StreamError)
        assert words in str(outcome.exception)
        assert "\n" not in str(outcome.exception)


def _confirmed(state: Path) -> int:
    return max((Checkpoint(path).load() for path in state.glob("*.json")), default=0)


def _ids(data: Path) -> list[str]:
    ids: list[str] = pq.read_table(data, columns=["transaction_id"])["transaction_id"].to_pylist()
    return ids
