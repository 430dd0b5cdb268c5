"""The ceiling of broker and client: a plain confluent-kafka loop that copies events as they are.

No features, no model, no guarantee: offsets are never committed, and what fails is lost. Its
clients have the same options as Headrace's own.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from confluent_kafka import Consumer, Producer, TopicPartition

from loadtests.companion import Stopped, serve
from streams.transport.settings import TransportSettings
from streams.transport.topics import end_offsets, topic_partitions

POLL_S = 0.005
BATCH_RECORDS = 2_048
FLUSH_S = 5.0
QUIET = {"log_level": 3}


class PassThroughOrder(msgspec.Struct, frozen=True):
    """From which topic to which."""

    settings: TransportSettings
    source: str
    sink: str


def pass_through(order: PassThroughOrder, say_ready: Callable[[], None], stopped: Stopped) -> None:
    """Copy key, value and headers of every record that arrives from now on, in order."""
    ends = end_offsets(order.settings, topic_partitions(order.settings, order.source))
    consumer = Consumer({**order.settings.consumer_options(), **QUIET})
    producer = Producer({**order.settings.producer_options(), **QUIET})
    consumer.assign([TopicPartition(*at, offset) for at, offset in ends.items()])
    say_ready()
    try:
        while not stopped():
            _copy_batch(consumer, producer, order.sink)
    finally:
        producer.flush(FLUSH_S)
        consumer.close()


def _copy_batch(consumer: Consumer, producer: Producer, sink: str) -> None:
    first = consumer.poll(POLL_S)
    messages = [] if first is None else [first, *consumer.consume(BATCH_RECORDS - 1, 0)]
    for message in messages:
        if message.error() is not None:
            continue
        copy = {"key": message.key(), "value": message.value(), "headers": message.headers()}
        while True:
            try:
                producer.produce(sink, **copy)
                break
            except BufferError:
                producer.poll(POLL_S)
    producer.poll(0)


if __name__ == "__main__":
    serve(PassThroughOrder, pass_through)
