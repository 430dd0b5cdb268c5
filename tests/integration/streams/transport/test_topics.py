"""Topics are created, checked, measured and read whole."""

import itertools
import time
from collections.abc import Callable

import pytest

from streams.errors import BrokerUnavailable, TopicMismatch
from streams.transport.batch import TopicPartition
from streams.transport.reader import first_unread, follow, read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import (
    TopicSpec,
    check_topics,
    end_offsets,
    ensure_topics,
    group_lag,
    topic_partitions,
)
from streams.transport.watchdog import unread_records
from tests.integration.streams.transport.world import PARTITIONS, World, free_port

pytestmark = pytest.mark.integration


def test_a_created_topic_can_be_written_at_once_and_created_again(
    kafka_bootstrap: str, topic_name: Callable[[str], str]
) -> None:
    settings = TransportSettings(bootstrap=kafka_bootstrap, group_id="g")
    specs = [TopicSpec(topic_name("a"), 3), TopicSpec(topic_name("b"), 1)]
    ensure_topics(settings, specs)
    ensure_topics(settings, specs)
    assert len(topic_partitions(settings, specs[0].name)) == 3
    assert set(end_offsets(settings, topic_partitions(settings, specs[0].name)).values()) == {0}


def test_another_partition_count_is_refused_and_nothing_changed(world: World) -> None:
    wrong = [TopicSpec(world.source, PARTITIONS + 1), TopicSpec(f"{world.source}-new", 1)]
    with pytest.raises(TopicMismatch, match="has 4 partitions, 5 are configured"):
        ensure_topics(world.settings, wrong)
    with pytest.raises(TopicMismatch, match="has no topic"):
        check_topics(world.settings, [TopicSpec(f"{world.source}-new")])


def test_no_broker_is_an_error_within_the_deadline() -> None:
    settings = TransportSettings(bootstrap=f"127.0.0.1:{free_port()}", group_id="g")
    begun = time.monotonic()
    with pytest.raises(BrokerUnavailable, match="start Kafka"):
        ensure_topics(settings, [TopicSpec("t", 1)], deadline_s=1.0)
    assert time.monotonic() - begun < 5.0


def test_a_topic_is_read_whole_from_anywhere_and_without_a_group(world: World) -> None:
    world.send(3_000)
    batches = list(read_topic(world.settings, world.source, batch_records=700))
    assert max(map(len, batches)) <= 700
    records = [record for batch in batches for record in batch]
    assert sorted(int(r.value() or b"") for r in records) == list(range(3_000))
    ends = end_offsets(world.settings, topic_partitions(world.settings, world.source))
    start = {at.partition: end - 5 for at, end in ends.items()}
    tail = [r for batch in read_topic(world.settings, world.source, start=start) for r in batch]
    assert sum(end for end in ends.values()) == 3_000
    assert len(tail) == sum(min(5, end) for end in ends.values())
    assert sum(group_lag(world.settings, [world.source]).values()) == 3_000


def test_an_empty_topic_has_no_records(world: World) -> None:
    assert list(read_topic(world.settings, world.source)) == []


def test_following_sees_only_what_comes_later(world: World) -> None:
    world.send(10)
    followed = follow(world.settings, world.source, deadline_s=20.0)
    # The first answer fixes the end; what is sent afterwards must be seen.
    assert next(followed) == []
    world.send(5)
    seen: list[int] = []
    for batch in followed:
        seen.extend(int(record.value() or b"") for record in batch)
        if len(seen) >= 5:
            break
    assert sorted(seen) == list(range(10, 15))


def test_following_ends_at_its_deadline(world: World) -> None:
    begun = time.monotonic()
    empty = list(itertools.islice(follow(world.settings, world.source, deadline_s=0.6), 100))
    assert time.monotonic() - begun < 5.0
    assert len(empty) < 100
    assert not any(empty)


def test_unread_records_are_told_from_an_end(world: World) -> None:
    world.send(100)
    ends = end_offsets(world.settings, topic_partitions(world.settings, world.source))
    ahead = {at: (end if at.partition else max(end - 1, 0)) for at, end in ends.items()}
    unread = first_unread(world.settings, ahead, deadline_s=10.0)
    first = TopicPartition(world.source, 0)
    assert unread == ({first: ends[first] - 1} if ends[first] else {})


def test_unread_records_are_found_without_a_position(world: World) -> None:
    """As the watchdog asks for a partition that has delivered nothing since its assignment."""
    world.send(100)
    ends = end_offsets(world.settings, topic_partitions(world.settings, world.source))
    unread = unread_records(world.settings, dict.fromkeys(ends))
    assert unread == {at: 0 for at, end in ends.items() if end}
