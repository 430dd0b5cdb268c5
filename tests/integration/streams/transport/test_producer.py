"""The producer on a real broker: bounds, reports, and keys where Java puts them."""

import pytest

from streams.errors import BrokerUnavailable, DeliveryFailed, RecordTooLarge
from streams.transport.batch import KafkaRecord, MicroBatch
from streams.transport.partitioner import partition_for
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from tests.adapters.records import Record
from tests.integration.streams.transport.world import PARTITIONS, World, free_port

pytestmark = pytest.mark.integration


def _read(world: World) -> list[KafkaRecord]:
    return [record for batch in read_topic(world.settings, world.sink) for record in batch]


def test_librdkafka_and_the_documented_partitioner_agree(world: World) -> None:
    deliveries = Deliveries(world.producer)
    keys = [b"%d" % n for n in range(500)] + [b"", b"\x00\xff\x80", "Grüße".encode()]
    for key in keys:
        world.producer.send(world.sink, key=key, value=b"v", deliveries=deliveries)
    deliveries.wait(30.0)
    found = {record.key() or b"": record.partition() for record in _read(world)}
    assert found == {key: partition_for(key, PARTITIONS) for key in keys}


def test_nothing_is_lost_of_a_record_that_has_everything_or_nothing(world: World) -> None:
    deliveries = Deliveries(world.producer)
    headers = [("a", b"1"), ("a", b"2"), ("empty", b"")]
    world.producer.send(
        world.sink,
        key=b"k",
        value=b"v",
        headers=headers,
        partition=3,
        timestamp_ms=1,
        deliveries=deliveries,
    )
    world.producer.send(world.sink, key=None, value=None, partition=2, deliveries=deliveries)
    deliveries.wait(30.0)
    bare, full = sorted(_read(world), key=lambda record: record.partition())
    assert (full.key(), full.value(), full.headers(), full.timestamp()) == (
        b"k",
        b"v",
        headers,
        (1, 1),
    )
    assert (bare.key(), bare.value(), bare.headers()) == (None, None, None)


def test_a_full_queue_is_back_pressure(world: World) -> None:
    settings = TransportSettings(
        bootstrap=world.settings.bootstrap, group_id="g", producer_queue_records=50
    )
    producer = BatchProducer(settings)
    deliveries = Deliveries(producer)
    for number in range(2_000):
        producer.send(world.sink, key=b"k", value=b"%d" % number, deliveries=deliveries)
        assert len(producer) <= 50
    deliveries.wait(30.0)
    assert [int(record.value() or b"") for record in _read(world)] == list(range(2_000))


def test_a_broker_that_never_answers_is_an_error(world: World) -> None:
    settings = TransportSettings(
        bootstrap=f"127.0.0.1:{free_port()}",
        group_id="g",
        producer_queue_records=5,
        delivery_timeout_ms=300,
    )
    producer = BatchProducer(settings)
    deliveries = Deliveries(producer)

    def overfill() -> None:
        for _ in range(1_000):
            producer.send(world.sink, key=b"k", value=b"v", deliveries=deliveries)
        deliveries.wait(5.0)

    with pytest.raises((BrokerUnavailable, DeliveryFailed)):
        overfill()


def test_one_record_that_is_too_large_is_named(world: World) -> None:
    deliveries = Deliveries(world.producer)
    with pytest.raises(RecordTooLarge, match=world.sink):
        world.producer.send(world.sink, key=b"k", value=bytes(2_000_000), deliveries=deliveries)
    assert deliveries.pending == 0
    deliveries.wait(1.0)


class Outcome:
    """What became of a batch."""

    def __init__(self) -> None:
        self.done: list[MicroBatch] = []
        self.errors: list[Exception] = []

    def batch_done(self, batch: MicroBatch) -> None:
        self.done.append(batch)

    def batch_failed(self, batch: MicroBatch, error: Exception) -> None:
        self.errors.append(error)


def test_the_last_report_finishes_the_batch_and_not_before(world: World) -> None:
    outcome = Outcome()
    batch = MicroBatch([Record(b"v", b"k")], epoch=1, polled_at=0.0, listener=outcome)
    deliveries = Deliveries(world.producer, batch)
    world.producer.send(world.sink, key=b"k", value=b"1", deliveries=deliveries)
    assert world.producer.flush(10.0)
    assert outcome.done == [], "more could still be sent"
    world.producer.send(world.sink, key=b"k", value=b"2", deliveries=deliveries)
    deliveries.close()
    assert outcome.done == []
    assert world.producer.serve_until(lambda: bool(outcome.done), 10.0)


def test_a_failed_report_fails_the_batch(world: World) -> None:
    settings = TransportSettings(
        bootstrap=f"127.0.0.1:{free_port()}", group_id="g", delivery_timeout_ms=300
    )
    producer = BatchProducer(settings)
    outcome = Outcome()
    batch = MicroBatch([Record(b"v", b"k")], epoch=1, polled_at=0.0, listener=outcome)
    deliveries = Deliveries(producer, batch)
    producer.send(world.sink, key=b"k", value=b"1", deliveries=deliveries)
    deliveries.close()
    assert producer.serve_until(lambda: bool(outcome.errors), 10.0)
    assert outcome.done == []
    assert outcome.errors[0].retriable  # type: ignore[attr-defined]  # a StreamError
