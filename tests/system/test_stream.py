"""Events become predictions: whole processes, real servers, every record counted."""

from __future__ import annotations

import json
import re
import time
from collections import Counter

import numpy as np
import pytest

from deploy.stack.addresses import load_stack
from featurizers.offline import compute
from inference.local import LocalScorer
from inference.repository import ModelRepository
from streams.transport.producer import BatchProducer, Deliveries
from tests.bad_inputs import BAD_INPUTS, NOW_MS, ODD_BUT_ACCEPTED, encoded, payment
from tests.system.conftest import Case
from tests.system.headrace import Headrace, wait_until

pytestmark = pytest.mark.system


def test_every_event_has_one_prediction_with_the_features_of_the_backfill(
    headrace: Headrace, trained: Case
) -> None:
    worker = headrace.start_ready("worker", trained.reference)
    monitor = headrace.start_ready("monitor", trained.reference)
    headrace.do(
        "replay",
        trained.reference,
        *("--data", str(trained.file), "--from", "2026-02-10", "--rate", "600"),
    )
    headrace.wait_through(trained.pipeline, "worker", ["events", "labels"])
    headrace.wait_through(trained.pipeline, "monitor", ["predictions", "labels"])

    live = trained.history.between(trained.live_from_ms)
    predictions = headrace.predictions(trained.pipeline)
    assert sorted(p.id for p in predictions) == sorted(live.event_ids)
    assert headrace.dead_letters(trained.pipeline) == []

    pipeline = trained.pipeline
    offline = compute(
        pipeline.features,
        trained.history.events_facts(),
        trained.history.labels_facts(),
        trained.history.label_known_at_ms,
    )
    rows = dict(zip(trained.history.event_ids, offline, strict=True))
    online = np.array([p.features for p in predictions])
    expected = np.array([rows[p.id] for p in predictions])
    differing = np.flatnonzero((online != expected).any(axis=1))
    assert len(differing) == 0, f"first: {predictions[differing[0]]} {expected[differing[0]]}"

    repository = ModelRepository(load_stack(headrace.layout).model_repository, wall_ms=lambda: 0)
    local = LocalScorer(repository.read(pipeline.model.name, predictions[0].model_version))
    scores = local.score(online.astype(np.float32))
    assert np.array_equal(np.array([p.score for p in predictions], dtype=np.float32), scores)
    assert all(p.decision == (p.score >= p.threshold) for p in predictions)

    outcomes = headrace.outcomes(pipeline)
    truth = dict(zip(trained.history.event_ids, trained.history.truth(), strict=True))
    assert sorted(o.id for o in outcomes) == sorted(live.event_ids)
    assert all(o.label == truth[o.id] for o in outcomes)
    assert {"river_logistic", "majority"} <= set(outcomes[0].shadow_scores)

    assert worker.stop() == 0
    assert monitor.stop() == 0

    # The topics themselves are a history to train from.
    figures = headrace.folder / "train.json"
    days = ("--from", "2026-02-10", "--to", "2026-02-12")
    headrace.do("train", trained.reference, *days, "--json", str(figures))
    retrained = json.loads(figures.read_text())
    assert retrained["version"] == 2
    assert (retrained["rows"], retrained["positives"]) == (
        len(live),
        sum(truth[i] for i in live.event_ids),
    )


def _now(value: bytes | None, now_ms: int) -> bytes | None:
    """The input as if the table's clock were this machine's."""
    if value is None:
        return None

    def shifted(match: re.Match[bytes]) -> bytes:
        time_ms = int(match[2])
        near = abs(time_ms - NOW_MS) < 1_000 * 86_400_000
        return match[1] + str(time_ms + now_ms - NOW_MS if near else time_ms).encode()

    return re.sub(rb'("event_time_ms": )(\d+)(?=[,}])', shifted, value)


def test_bad_input_is_set_aside_with_its_reason_and_costs_its_neighbours_nothing(
    headrace: Headrace, trained: Case
) -> None:
    pipeline, now_ms = trained.pipeline, time.time_ns() // 1_000_000
    producer = BatchProducer(headrace.transport())
    deliveries = Deliveries(producer)
    inputs = [*BAD_INPUTS, *ODD_BUT_ACCEPTED]
    for number, bad in enumerate(inputs):
        value = _now(bad.value, now_ms)
        sound = encoded(payment(f"sound {number}", event_time_ms=now_ms))
        for key, message in ((b"c1", sound), (bad.key, value)):
            producer.send(
                pipeline.topic("events"),
                key=key,
                value=message,
                partition=0,
                deliveries=deliveries,
            )
    bad_labels = (b"{", b'{"transaction_id": "x"}')
    for value in bad_labels:
        producer.send(pipeline.topic("labels"), key=b"c1", value=value, deliveries=deliveries)
    deliveries.wait(30)
    headrace.start_ready("worker", trained.reference)
    headrace.wait_through(pipeline, "worker", ["events", "labels"])

    found = headrace.dead_letters(pipeline)
    about_labels = [d.reason for d in found if d.source_topic == pipeline.topic("labels")]
    assert sorted(about_labels) == ["missing_field", "not_json"]
    letters = {d.source_offset: d for d in found if d.source_topic == pipeline.topic("events")}
    predicted = {p.source_offset: p for p in headrace.predictions(pipeline)}
    for number, bad in enumerate(inputs):
        offset = 2 * number + 1
        assert offset - 1 in predicted, f"the neighbour of {bad.name!r} has no prediction"
        if bad.reason is None:
            assert set(predicted[offset].flags) == set(bad.flags), bad.name
        else:
            letter = letters[offset]
            assert (letter.stage, letter.reason) == ("decode", bad.reason), bad.name
            assert bad.field is None or letter.field == bad.field, bad.name
    assert len(predicted) + len(letters) == 2 * len(inputs)


def test_repeated_events_and_labels_of_unknown_events(headrace: Headrace, trained: Case) -> None:
    pipeline, now_ms = trained.pipeline, time.time_ns() // 1_000_000
    label = {
        "transaction_id": "never seen",
        "event_time_ms": now_ms,
        "customer_id": "c1",
        "terminal_id": "t1",
        "is_fraud": True,
        "known_at_ms": now_ms,
    }
    twice = encoded(payment("twice", event_time_ms=now_ms))
    other = encoded(payment("other", event_time_ms=now_ms + 1))
    producer = BatchProducer(headrace.transport())
    deliveries = Deliveries(producer)
    messages = [
        ("labels", encoded(label)),
        ("labels", encoded(label | {"transaction_id": "twice"})),
    ]
    messages += [("events", value) for value in (twice, other, twice)]
    for kind, value in messages:
        topic = pipeline.topic(kind)
        producer.send(topic, key=b"c1", value=value, deliveries=deliveries)
    deliveries.wait(30)
    headrace.start_ready("worker", trained.reference)
    headrace.start_ready("monitor", trained.reference)
    headrace.wait_through(pipeline, "worker", ["events", "labels"])
    headrace.wait_through(pipeline, "monitor", ["predictions", "labels"])

    first, _, again = sorted(headrace.predictions(pipeline), key=lambda p: p.source_offset)
    assert (first.id, again.id) == ("twice", "twice")
    assert (first.features, first.score) == (again.features, again.score)
    assert ("repeated" in first.flags, "repeated" in again.flags) == (False, True)
    assert {o.id for o in headrace.outcomes(pipeline)} == {"twice"}
    assert headrace.dead_letters(pipeline) == []


@pytest.mark.fault
def test_killing_workers_loses_nothing_and_copies_are_equal(
    headrace: Headrace, trained: Case
) -> None:
    first = headrace.start_ready("worker", trained.reference)
    headrace.start_ready("worker", trained.reference)
    replay = headrace.start(
        "replay",
        trained.reference,
        *("--data", str(trained.file), "--from", "2026-02-10", "--rate", "150"),
    )
    pipeline = trained.pipeline
    _wait_for_predictions(headrace, trained, 200)
    first.kill()
    third = headrace.start_ready("worker", trained.reference)
    _wait_for_predictions(headrace, trained, 700)
    third.kill()
    assert replay.popen.wait(120) == 0, replay.output()
    headrace.wait_through(pipeline, "worker", ["events", "labels"])

    live = trained.history.between(trained.live_from_ms)
    predictions = headrace.predictions(pipeline)
    copies = Counter(p.id for p in predictions)
    print(f"{len(live)} events, {len(predictions) - len(copies)} predictions repeated")
    assert copies.keys() == set(live.event_ids)
    seen: dict[str, tuple[object, ...]] = {}
    for p in predictions:
        what = (p.score, tuple(p.features), p.event_time_ms, p.source_offset)
        assert seen.setdefault(p.id, what) == what, p.id


def _wait_for_predictions(headrace: Headrace, case: Case, count: int) -> None:
    wait_until(
        lambda: len(headrace.predictions(case.pipeline)) >= count, 60, f"no {count} predictions"
    )
