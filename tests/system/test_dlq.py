"""An incident as an operator handles it: look, send again, mend, send again, clear."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from click.testing import CliRunner

from deploy.bootstrap import topic_spec
from deploy.cli.dlq import dlq
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.topics import ensure_topics
from tests.bad_inputs import encoded, payment
from tests.system.conftest import Case
from tests.system.headrace import Headrace

pytestmark = pytest.mark.system

BROKEN = [b'{"transaction_id": "torn-%d", "amount"' % n for n in range(3)]
NEWER = [f"newer-{n}" for n in range(5)]


def send_incident(headrace: Headrace, case: Case) -> None:
    """Torn documents, events of a version that is not known yet, sound ones between."""
    now_ms = time.time_ns() // 1_000_000
    newer = [encoded(payment(n, schema_version=2, event_time_ms=now_ms)) for n in NEWER]
    sound = [encoded(payment(f"sound-{n}", event_time_ms=now_ms)) for n in range(4)]
    producer = BatchProducer(headrace.transport())
    deliveries = Deliveries(producer)
    for value in (*sound[:2], *BROKEN, *newer, *sound[2:]):
        producer.send(
            case.pipeline.topic("events"),
            key=b"c1",
            value=value,
            headers=[("shop", b"7")],
            deliveries=deliveries,
        )
    deliveries.wait(30)
    producer.close(5)


def listed(headrace: Headrace, case: Case, *choice: str) -> dict[str, Any]:
    file = headrace.folder / "letters.json"
    arguments = ["list", case.reference, "--json", str(file), *choice]
    done = CliRunner().invoke(dlq, arguments, env=headrace.environment())
    assert done.exit_code == 0, done.output
    figures: dict[str, Any] = json.loads(file.read_text())
    return figures


def reasons(figures: dict[str, Any]) -> dict[tuple[str, int], int]:
    """How many letters have which reason and attempt."""
    found: dict[tuple[str, int], int] = {}
    for letter in figures["letters"]:
        at = letter["reason"], letter["attempts"]
        found[at] = found.get(at, 0) + 1
    return found


def test_what_was_set_aside_is_sent_again_and_predicted_once_it_is_understood(
    headrace: Headrace, trained: Case
) -> None:
    case, pipeline = trained, trained.pipeline
    send_incident(headrace, case)
    worker = headrace.start_ready("worker", case.reference)
    headrace.wait_through(pipeline, "worker", ["events"])
    figures = listed(headrace, case)
    assert reasons(figures) == {("not_json", 1): 3, ("unknown_schema_version", 1): 5}
    torn = listed(headrace, case, "--reason", "not_json", "--key", "c1", "--limit", "1")
    assert (torn["letters_total"], len(torn["letters"])) == (3, 1)

    position = torn["letters"][0]["position"]
    shown = headrace.do("dlq", "show", case.reference, position)
    assert shown.endswith(f"\n{BROKEN[-1].decode()}\n")
    assert "header    shop: 7\n" in shown

    dry = headrace.do("dlq", "replay", case.reference, "--dry-run")
    assert "8 records would be sent" in dry
    sent = headrace.do("dlq", "replay", case.reference)
    assert "8 records sent" in sent
    headrace.wait_through(pipeline, "worker", ["events"])
    figures = listed(headrace, case)
    assert reasons(figures) == {("not_json", 2): 3, ("unknown_schema_version", 2): 5}
    assert figures["superseded"] == 8
    assert worker.stop() == 0

    (headrace.folder / f"{pipeline.name}_mended.py").write_text(
        "from dataclasses import replace\n"
        f"from {pipeline.name} import PIPELINE as FIRST\n"
        "PIPELINE = replace(FIRST, events=replace(FIRST.events, versions=(1, 2)))\n"
    )
    headrace.start_ready("worker", f"{pipeline.name}_mended:PIPELINE")
    understood = "--reason", "unknown_schema_version"
    first = next(x["position"] for x in figures["letters"] if x["reason"] == understood[1])
    assert "1 records sent" in headrace.do("dlq", "replay", case.reference, first)
    assert "5 records sent" in headrace.do("dlq", "replay", case.reference, *understood)
    headrace.wait_through(pipeline, "worker", ["events"])
    predictions = headrace.predictions(pipeline)
    assert {p.id for p in predictions} == {*NEWER, *(f"sound-{n}" for n in range(4))}
    features: dict[str, set[tuple[float, ...]]] = {}
    for prediction in predictions:
        features.setdefault(prediction.id, set()).add(tuple(prediction.features))
    assert len(predictions) == len(features) + 1
    assert all(len(copies) == 1 for copies in features.values())
    in_order = list(dict.fromkeys(p.id for p in predictions if p.id in NEWER))
    assert in_order == NEWER

    headrace.do("dlq", "purge", case.reference, "--all", "--yes")
    assert listed(headrace, case)["letters_total"] == 0


def test_what_cannot_be_done_is_said(headrace: Headrace, case: Case) -> None:
    ensure_topics(headrace.transport(), [topic_spec(case.pipeline, "deadletters")])
    for arguments, text in {
        ("show", case.reference, "0:5"): "holds nothing at 0:5",
        ("show", case.reference, "here"): "write it like 2:1047",
        ("replay", case.reference, "0:5"): "0:5: at one or more",
        ("purge", case.reference): "say --all",
        ("purge", case.reference, "--before", "0:5"): "the partition ends at 0",
        ("purge", case.reference, "--before", "9:0"): "has no such partition",
    }.items():
        done = CliRunner().invoke(dlq, arguments, env=headrace.environment())
        assert done.exit_code != 0, arguments
        assert text in done.output, (arguments, done.output)
