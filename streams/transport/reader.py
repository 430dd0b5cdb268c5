"""Reading a topic outside any group: whole, or as it grows; bounded in size and time."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as DriverPartition

from streams.errors import BrokerUnavailable
from streams.transport.batch import KafkaRecord, TopicPartition
from streams.transport.driver_errors import driver_log, translate, translated
from streams.transport.settings import TransportSettings
from streams.transport.topics import end_offsets, start_offsets, topic_partitions

Clock = Callable[[], float]

_BATCH = 4_096


def read_topic(
    settings: TransportSettings,
    topic: str,
    *,
    start: Mapping[int, int] | None = None,
    batch_records: int = _BATCH,
    silence_s: float = 30.0,
    clock: Clock = time.monotonic,
) -> Iterator[list[KafkaRecord]]:
    """Yield every record that the topic holds now, in batches, partition order kept.

    Ends at the end offsets of the moment of the first ``next``. ``start`` gives first offsets
    by partition (the beginning where absent). Commits nothing and belongs to no group. Only
    committed records are seen.

    Raises
    ------
    TopicMismatch
        The topic does not exist.
    BrokerUnavailable
        Nothing came for ``silence_s`` although the end is not reached.
    """
    partitions = topic_partitions(settings, topic)
    ends = end_offsets(settings, partitions)
    begins = start_offsets(settings, partitions)
    chosen = {at: max((start or {}).get(at.partition, begins[at]), begins[at]) for at in partitions}
    open_partitions = {at for at in partitions if chosen[at] < ends[at]}
    with _assigned(settings, {at: chosen[at] for at in open_partitions}) as consumer:
        heard_at = clock()
        while open_partitions:
            records, ended = _consume(consumer, batch_records)
            open_partitions -= ended
            records = [r for r in records if r.offset() < ends[_at(r)]]
            open_partitions -= {_at(r) for r in records if r.offset() + 1 >= ends[_at(r)]}
            if records:
                heard_at = clock()
                yield records
            elif clock() - heard_at > silence_s:
                raise BrokerUnavailable(
                    f"reading {topic}: nothing for {silence_s:g} s, "
                    f"{len(open_partitions)} partitions unfinished; check the broker"
                )


def follow(
    settings: TransportSettings,
    topic: str,
    *,
    deadline_s: float,
    from_beginning: bool = False,
    batch_records: int = _BATCH,
    clock: Clock = time.monotonic,
) -> Iterator[list[KafkaRecord]]:
    """Yield records as they arrive until ``deadline_s`` has passed; an empty list when none came.

    Yields at least every quarter of a second, so that the caller can stop or redraw.

    Raises
    ------
    TopicMismatch
        The topic does not exist.
    """
    partitions = topic_partitions(settings, topic)
    at = (start_offsets if from_beginning else end_offsets)(settings, partitions)
    give_up_at = clock() + deadline_s
    with _assigned(settings, at) as consumer:
        while (left := give_up_at - clock()) > 0:
            yield _consume(consumer, batch_records, min(max(left, 0.01), 0.25))[0]


def first_unread(
    settings: TransportSettings,
    positions: Mapping[TopicPartition, int],
    *,
    deadline_s: float,
    clock: Clock = time.monotonic,
) -> dict[TopicPartition, int]:
    """Offset of the first record at or after each position; partitions at their end are absent."""
    found: dict[TopicPartition, int] = {}
    waiting = set(positions)
    give_up_at = clock() + deadline_s
    with _assigned(settings, positions) as consumer:
        while waiting and clock() < give_up_at:
            records, ended = _consume(consumer, 100)
            for record in records:
                found.setdefault(_at(record), record.offset())
            waiting -= ended | set(found)
    return found


@contextmanager
def _assigned(
    settings: TransportSettings, positions: Mapping[TopicPartition, int]
) -> Iterator[Consumer]:
    options = {
        **settings.consumer_options(),
        "group.id": f"{settings.group_id}-reader",
        "enable.partition.eof": True,
    }
    options.pop("group.instance.id", None)
    with translated("starting a reader"):
        consumer = Consumer(options, logger=driver_log)
        consumer.assign([DriverPartition(at.topic, at.partition, o) for at, o in positions.items()])
    try:
        yield consumer
    finally:
        consumer.close()


def _consume(
    consumer: Consumer, limit: int, timeout_s: float = 0.25
) -> tuple[list[KafkaRecord], set[TopicPartition]]:
    """Records, and the partitions whose end was reached."""
    try:
        first = consumer.poll(timeout_s)
        messages = [] if first is None else [first, *consumer.consume(limit - 1, 0)]
    except KafkaException as failure:
        raise translate(failure.args[0], "reading") from failure
    records: list[KafkaRecord] = []
    ended: set[TopicPartition] = set()
    for message in messages:
        error = message.error()
        if error is None:
            records.append(message)
        elif error.code() == KafkaError._PARTITION_EOF:
            ended.add(_at(message))
        elif not (problem := translate(error, "reading")).retriable:
            raise problem
    return records, ended


def _at(record: KafkaRecord) -> TopicPartition:
    return TopicPartition(record.topic(), record.partition())
