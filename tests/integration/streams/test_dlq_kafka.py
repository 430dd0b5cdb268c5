"""Dead letters in a real topic: found, sent back, failing again, deleted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from featurizers.definitions import EVENTS
from streams.codec import RecordDecoder
from streams.deadletters import DeadLetters
from streams.dlq import Selection, Wanted, plan_replay, read_letter, read_letters, resend, select
from streams.errors import TransportBroken
from streams.pipeline import Pipeline
from streams.pipelines.fraud import PIPELINE
from streams.transport.batch import KafkaRecord, TopicPartition
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import (
    TopicSpec,
    delete_before,
    end_offsets,
    ensure_topics,
    start_offsets,
    topic_partitions,
)
from tests.bad_inputs import BAD_INPUTS, encoded, payment

pytestmark = pytest.mark.integration

DECADE_MS = 10 * 365 * 86_400_000
CUSTOMERS = 5
# Time alone makes an event from the future sound.
LASTING = [bad for bad in BAD_INPUTS if bad.reason != "time_far_future"]


class Incident:
    """A pipeline of its own, its topics, and a worker's part in its dead letters."""

    def __init__(self, settings: TransportSettings, name: str) -> None:
        self.settings = settings
        self.pipeline: Pipeline = replace(PIPELINE, name=name, partitions=2)
        self.events, self.dead = (self.pipeline.topic(kind) for kind in ("events", "deadletters"))
        self.producer = BatchProducer(settings)
        ensure_topics(settings, [TopicSpec(topic, 2) for topic in (self.events, self.dead)])

    def send(self, *messages: tuple[bytes | None, bytes | None]) -> None:
        deliveries = Deliveries(self.producer)
        for key, value in messages:
            self.producer.send(self.events, key=key, value=value, deliveries=deliveries)
        deliveries.wait(30)

    def work(self, start: dict[int, int] | None = None) -> dict[int, int]:
        """Sets aside what cannot be read, from some offsets on; returns where it ends."""
        decoder = RecordDecoder(self.pipeline.events, self.pipeline.features, EVENTS)
        dead, deliveries = DeadLetters(self.dead, self.producer), Deliveries(self.producer)
        now_ms = time.time_ns() // 1_000_000
        for batch in read_topic(self.settings, self.events, start=start):
            for rejected in decoder.decode(batch, now_ms).rejected:
                dead.send(rejected, now_ms, deliveries)
        deliveries.wait(30)
        partitions = topic_partitions(self.settings, self.events)
        return {at.partition: end for at, end in end_offsets(self.settings, partitions).items()}

    def selection(self, wanted: Wanted, since_ms: int | None = None) -> Selection:
        letters = read_letters(self.settings, self.dead, since_ms=since_ms)
        return select(letters, wanted, keep_values=True)

    def records(self, start: dict[int, int]) -> list[KafkaRecord]:
        batches = read_topic(self.settings, self.events, start=start)
        return [record for batch in batches for record in batch]


@pytest.fixture
def incident(kafka_bootstrap: str, topic_name: Callable[[str], str]) -> Incident:
    settings = TransportSettings(bootstrap=kafka_bootstrap, group_id="dlq")
    return Incident(settings, topic_name("p"))


def test_what_is_sent_back_is_as_it_was_and_fails_as_the_second_attempt(incident: Incident) -> None:
    incident.send(*((bad.key, bad.value) for bad in LASTING))
    end = incident.work()
    first = incident.selection(Wanted())
    whole = [f for f in first.letters if not f.cut]
    plan = plan_replay(incident.pipeline, first.letters)
    assert list(plan.sent) == whole
    assert len(first.letters) == len(LASTING)

    resend(plan.sent, incident.producer, deadline_s=30)

    sent = {(bad.key, bad.value) for bad in LASTING}
    back = [(record.key(), record.value()) for record in incident.records(end)]
    assert set(back) <= sent
    assert len(back) == len(whole)
    incident.work(end)
    second = incident.selection(Wanted())
    attempts = {f.origin: f.letter.attempts for f in second.letters}
    assert attempts == {f.origin: 1 if f.cut else 2 for f in first.letters}
    reasons = {f.origin: f.letter.reason for f in first.letters}
    assert {f.origin: f.letter.reason for f in second.letters} == reasons
    assert second.superseded == len(whole)


def test_the_records_of_a_key_come_back_in_their_order(incident: Incident) -> None:
    payments = [
        payment(f"e{n:03}", customer_id=f"c{n % CUSTOMERS}", schema_version=9) for n in range(200)
    ]
    incident.send(*((event["customer_id"].encode(), encoded(event)) for event in payments))
    end = incident.work()

    resend(incident.selection(Wanted()).letters, incident.producer, deadline_s=30)

    places: dict[bytes | None, set[int]] = {}
    order: dict[bytes | None, list[str]] = {}
    for record in incident.records(end):
        places.setdefault(record.key(), set()).add(record.partition())
        order.setdefault(record.key(), []).append(
            json.loads(record.value() or b"")["transaction_id"]
        )
    assert len(order) == CUSTOMERS
    assert sum(map(len, order.values())) == 200
    assert all(ids == sorted(ids) for ids in order.values())
    assert all(len(partitions) == 1 for partitions in places.values())


def test_one_letter_is_read_where_it_stands_until_it_is_deleted(incident: Incident) -> None:
    incident.send(*((b"c%d" % n, b"no json %d" % n) for n in range(20)))
    incident.work()
    letters = incident.selection(Wanted()).letters
    at = {(f.partition, f.offset): f for f in letters}
    for (partition, offset), found in list(at.items())[-3:]:
        record = read_letter(incident.settings, incident.dead, partition, offset)
        assert record is not None
        assert (record.key(), record.offset()) == (found.key, offset)
    assert read_letter(incident.settings, incident.dead, 0, 1_000) is None
    assert read_letter(incident.settings, incident.dead, 7, 0) is None

    with pytest.raises(TransportBroken, match="deleting records"):
        delete_before(incident.settings, {TopicPartition(incident.dead, 0): 1_000})
    delete_before(incident.settings, {TopicPartition(incident.dead, 0): 2})

    partitions = topic_partitions(incident.settings, incident.dead)
    starts = start_offsets(incident.settings, partitions)
    assert starts == {TopicPartition(incident.dead, 0): 2, TopicPartition(incident.dead, 1): 0}
    left = {(f.partition, f.offset) for f in incident.selection(Wanted()).letters}
    assert left == set(at) - {(0, 0), (0, 1)}
    assert read_letter(incident.settings, incident.dead, 0, 1) is None


def test_a_time_chooses_where_reading_begins(incident: Incident) -> None:
    incident.send((b"c1", b"no json"))
    incident.work()
    now_ms = time.time_ns() // 1_000_000
    assert len(list(read_letters(incident.settings, incident.dead, since_ms=0))) == 1
    later = read_letters(incident.settings, incident.dead, since_ms=now_ms + DECADE_MS)
    assert list(later) == []
    minute = Wanted(since_ms=now_ms - 60_000, until_ms=now_ms + 60_000)
    assert len(incident.selection(minute, since_ms=minute.since_ms).letters) == 1
