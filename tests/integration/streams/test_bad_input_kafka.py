"""Bad input through a real broker: what the producer sends is what the table is about.

Decoder, dead letters and topic together; the whole worker is tried with the same table elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from featurizers.definitions import EVENTS
from streams.codec import RecordDecoder
from streams.deadletters import MAX_KEY_BYTES, REASON_HEADER, DeadLetters
from streams.pipelines.fraud import PIPELINE
from streams.records import DeadLetter
from streams.transport.batch import KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec, ensure_topics
from tests.bad_inputs import BAD_INPUTS, NOW_MS, ODD_BUT_ACCEPTED, BadInput, encoded, payment

pytestmark = pytest.mark.integration

SOUND = tuple(
    BadInput(f"sound {i}", encoded(payment(f"sound {i}")), b"c1", None)
    for i in range(len(BAD_INPUTS))
)


def read(settings: TransportSettings, topic: str) -> list[KafkaRecord]:
    return [record for batch in read_topic(settings, topic) for record in batch]


@pytest.fixture
def settings(kafka_bootstrap: str) -> TransportSettings:
    return TransportSettings(bootstrap=kafka_bootstrap, group_id="bad-input")


@pytest.fixture
def events_and_dead(
    settings: TransportSettings, topic_name: Callable[[str], str]
) -> tuple[str, str]:
    """One partition each, so that the order of sending is the order of reading."""
    topics = topic_name("events"), topic_name("dead")
    ensure_topics(settings, [TopicSpec(topic, partitions=1) for topic in topics])
    return topics


def test_each_bad_record_becomes_its_dead_letter_and_its_neighbours_pass(
    settings: TransportSettings, events_and_dead: tuple[str, str]
) -> None:
    topic, dead_topic = events_and_dead
    inputs = [x for pair in zip(BAD_INPUTS, SOUND, strict=True) for x in pair] + [*ODD_BUT_ACCEPTED]
    producer = BatchProducer(settings)
    deliveries = Deliveries(producer)
    for bad in inputs:
        producer.send(
            topic, key=bad.key, value=bad.value, timestamp_ms=NOW_MS, deliveries=deliveries
        )
    deliveries.wait(30)

    records = read(settings, topic)
    decoded = RecordDecoder(PIPELINE.events, PIPELINE.features, EVENTS).decode(records, NOW_MS)
    dead = DeadLetters(dead_topic, producer)
    deliveries = Deliveries(producer)
    for rejected in decoded.rejected:
        dead.send(rejected, NOW_MS + 5, deliveries)
    deliveries.wait(30)
    producer.close(5)

    assert len(records) == len(inputs)
    kept = [inputs[record.offset()] for record in decoded.kept]
    assert kept == [bad for bad in inputs if bad.reason is None]
    flagged = {kept[row].name: flags for row, flags in decoded.flags.items()}
    assert flagged == {odd.name: odd.flags for odd in ODD_BUT_ACCEPTED if odd.flags}
    letters = {
        letter.source_offset: (letter, record)
        for record in read(settings, dead_topic)
        for letter in [msgspec.json.decode(record.value() or b"", type=DeadLetter)]
    }
    for offset, bad in enumerate(inputs):
        if bad.reason is None:
            assert offset not in letters, bad.name
            continue
        letter, record = letters[offset]
        assert (letter.reason, letter.field, letter.value) == (bad.reason, bad.field, bad.value)
        assert (letter.source_topic, letter.source_timestamp_ms) == (topic, NOW_MS)
        assert dict(record.headers() or [])[REASON_HEADER] == bad.reason.encode()
        assert record.key() == (bad.key and bad.key[:MAX_KEY_BYTES])
