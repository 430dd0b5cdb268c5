"""`headrace report` reads real topics: what is in them is what it says."""

import json
import time
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from deploy.bootstrap import topic_spec
from deploy.cli.report import report
from streams.transport.batch import KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import ensure_topics
from tests.integration.deploy.reported import PIPELINE
from tests.unit.deploy.report_runs import alert, dead_letter, outcome, prediction

pytestmark = pytest.mark.integration

EVENTS = 40


@pytest.fixture
def transport(kafka_bootstrap: str) -> TransportSettings:
    settings = TransportSettings(bootstrap=kafka_bootstrap, group_id="reported", client_id="test")
    ensure_topics(settings, [topic_spec(PIPELINE, kind) for kind in PIPELINE.topics])
    return settings


def send(transport: TransportSettings, kind: str, values: list[bytes], at_ms: int) -> None:
    producer = BatchProducer(transport)
    deliveries = Deliveries(producer)
    for number, value in enumerate(values):
        topic = PIPELINE.topic(kind)
        key = f"c{number % 5}".encode()
        producer.send(
            topic, key=key, value=value, headers=None, timestamp_ms=at_ms, deliveries=deliveries
        )
    deliveries.wait(30.0)
    producer.close(5.0)


def records(transport: TransportSettings, kind: str) -> list[KafkaRecord]:
    return [r for batch in read_topic(transport, PIPELINE.topic(kind)) for r in batch]


def test_the_report_says_what_the_topics_hold(
    transport: TransportSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent_ms = int(time.time() * 1000)
    send(transport, "events", [b"{}"] * EVENTS, sent_ms)
    events = records(transport, "events")
    assert len({event.partition() for event in events}) > 1
    made = [
        prediction(
            number, event.offset(), score=number / EVENTS, source_partition=event.partition()
        )
        for number, event in enumerate(events[: EVENTS - 2])
    ]
    send(transport, "predictions", [msgspec.json.encode(row) for row in made], sent_ms + 30)
    known = [outcome(number, label=number > EVENTS // 2) for number in range(EVENTS - 10)]
    send(transport, "outcomes", [msgspec.json.encode(row) for row in known], sent_ms + 40)
    lost = events[-1]
    letter = msgspec.structs.replace(
        dead_letter(lost.offset(), topic=PIPELINE.topic("events")),
        source_partition=lost.partition(),
    )
    send(transport, "deadletters", [msgspec.json.encode(letter)], sent_ms)
    send(transport, "alerts", [msgspec.json.encode(alert("amount", 1))], sent_ms)

    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", transport.bootstrap)
    monkeypatch.setenv("HEADRACE_STATE_DIR", str(tmp_path / "state"))
    figures = tmp_path / "figures.json"
    done = CliRunner().invoke(
        report,
        ["tests.integration.deploy.reported:PIPELINE", "--json", str(figures)],
        catch_exceptions=False,
    )

    assert done.exit_code == 0
    found = json.loads(figures.read_text())
    assert (found["events"], found["predictions"]) == (EVENTS, EVENTS - 2)
    assert (found["dead_letters"], found["missing"], found["duplicates"]) == (1, 1, 0)
    assert found["latency_p50_ms"] == found["latency_max_ms"] == 30.0
    assert found["quality"]["champion"]["auc"] == 1.0
    assert found["labels"]["outcomes"] == EVENTS - 10
    assert found["alerts"]["raised"] == 1
    latest = tmp_path / "state" / "reports" / "latest"
    assert json.loads((latest / "summary.json").read_text()) == found
    assert "report.html" in done.output
    assert (latest / "report.html").stat().st_size > 1_000_000
