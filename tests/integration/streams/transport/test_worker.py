"""Whole worker processes on a real broker: nothing is lost, and what is done is committed."""

from pathlib import Path

import pytest
from confluent_kafka.admin import AdminClient

from streams.transport.partitioner import partition_for
from tests.integration.streams.transport.passthrough import POISON
from tests.integration.streams.transport.world import PARTITIONS, World, free_port, wait_until

pytestmark = pytest.mark.integration


def test_what_goes_in_comes_out_whole_and_in_order(world: World) -> None:
    world.send(5_000)
    worker = world.start()
    world.wait_until_committed()
    assert worker.terminate() == 0
    last: dict[bytes | None, int] = {}
    for record in world.published():
        headers = dict(record.headers() or [])
        number = int(headers["number"])
        assert record.value() == b"%d" % number
        assert record.key() == b"key-%d" % (number % 50)
        assert record.timestamp() == (1, 1_500_000_000_000 + number)
        assert record.partition() == partition_for(record.key() or b"", PARTITIONS)
        assert number > last.get(record.key(), -1), "a key's records changed their order"
        last[record.key()] = number
    assert world.copies() == dict.fromkeys(range(5_000), 1)


def test_faust_leaves_no_topics_and_no_lines_of_its_own(world: World) -> None:
    worker = world.start()
    worker.wait_until_assigned()
    world.send(10)
    world.wait_until_committed()
    worker.terminate()
    topics = AdminClient({"bootstrap.servers": world.settings.bootstrap}).list_topics(timeout=10)
    assert not [
        name for name in topics.topics if "__assignor" in name or name.startswith("pass-through")
    ]
    lines = worker.log.read_text().splitlines()
    assert all(line.startswith("INFO pass-through ") for line in lines), lines
    assert len(lines) == 4, lines


def test_what_is_never_done_is_never_committed(world: World) -> None:
    world.send(100)
    worker = world.start(trouble={"never_done": True}, drain_ms=500)
    wait_until(lambda: worker.said("holds"), 20.0, "a batch that is processed")
    assert worker.terminate() == 1
    assert world.lag() == 100
    world.start()
    world.wait_until_committed()
    assert world.copies() == dict.fromkeys(range(100), 1)


def test_an_outage_is_waited_out_and_loses_nothing(world: World, tmp_path: Path) -> None:
    outage = tmp_path / "outage"
    outage.touch()
    worker = world.start(trouble={"outage": str(outage)}, retry_max_ms=200)
    worker.wait_until_assigned()
    world.send(500)
    wait_until(lambda: worker.said("nothing is lost"), 10.0, "a line about the outage")
    assert world.lag() == 500
    outage.unlink()
    world.wait_until_committed()
    assert world.copies() == dict.fromkeys(range(500), 1)
    assert worker.said("works again after")
    assert worker.terminate() == 0


def test_stopping_during_an_outage_commits_nothing(world: World, tmp_path: Path) -> None:
    outage = tmp_path / "outage"
    outage.touch()
    worker = world.start(trouble={"outage": str(outage)}, drain_ms=500)
    worker.wait_until_assigned()
    world.send(50)
    wait_until(lambda: worker.said("nothing is lost"), 10.0, "a line about the outage")
    assert worker.terminate() == 1
    assert world.lag() == 50


def test_a_poison_record_costs_its_neighbours_nothing(world: World) -> None:
    bad = {17, 418, 419}
    world.send(1_000, lambda n: POISON if n in bad else b"%d" % n)
    worker = world.start()
    world.wait_until_committed()
    assert world.copies() == dict.fromkeys(set(range(1_000)) - bad, 1)
    assert world.rejected() == [POISON] * 3
    assert worker.terminate() == 0


def test_a_backlog_does_not_wait_for_the_poll_of_an_idle_worker(world: World) -> None:
    world.send(20_000)
    worker = world.start(max_poll_records=500)
    world.wait_until_committed()
    assert world.copies() == dict.fromkeys(range(20_000), 1)
    assert worker.terminate() == 0


def test_no_broker_is_said_once_and_waited_for(world: World) -> None:
    worker = world.start(bootstrap=f"127.0.0.1:{free_port()}")
    wait_until(lambda: worker.said("start Kafka"), 15.0, "a line about the broker")
    assert worker.process.poll() is None
    assert worker.terminate() == 0
    assert worker.log.read_text().count("start Kafka") == 1


def test_a_missing_topic_ends_the_worker_with_one_line(world: World) -> None:
    worker = world.start(source=f"{world.source}-missing")
    assert worker.process.wait(30) == 1
    lines = worker.log.read_text().splitlines()
    assert len(lines) == 1, lines
    assert "has no topic" in lines[0]
    assert "create it" in lines[0]


def test_another_partition_count_ends_the_worker_with_one_line(world: World) -> None:
    worker = world.start(partitions=PARTITIONS + 1)
    assert worker.process.wait(30) == 1
    lines = worker.log.read_text().splitlines()
    assert len(lines) == 1, lines
    assert "has 4 partitions, 5 are configured" in lines[0]


def test_a_second_signal_ends_at_once(world: World, tmp_path: Path) -> None:
    outage = tmp_path / "outage"
    outage.touch()
    worker = world.start(trouble={"outage": str(outage)}, drain_ms=60_000)
    world.send(10)
    wait_until(lambda: worker.said("nothing is lost"), 20.0, "a line about the outage")
    worker.process.terminate()
    wait_until(lambda: worker.said("finishing what is in flight"), 10.0, "the first signal")
    worker.process.terminate()
    assert worker.process.wait(5) == 130
