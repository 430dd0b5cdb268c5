"""Workers join, leave and are killed under load: every record arrives, and why some twice."""

import threading

import pytest

from tests.integration.streams.transport.world import World, wait_until

pytestmark = [pytest.mark.integration, pytest.mark.fault]


def test_joins_and_leaves_lose_nothing_and_repeat_nothing(world: World) -> None:
    first = world.start()
    first.wait_until_assigned()
    world.send_steadily(1.0, 1_000)
    second = world.start()
    second.wait_until_assigned()
    world.send_steadily(2.0, 1_000)
    assert first.terminate() == 0
    world.send_steadily(2.0, 1_000)
    third = world.start()
    third.wait_until_assigned()
    world.send_steadily(1.0, 1_000)
    world.wait_until_committed()
    assert world.copies() == dict.fromkeys(range(world.sent), 1)
    assert second.terminate() == 0
    assert third.terminate() == 0


def test_two_workers_share_the_partitions(world: World) -> None:
    first = world.start()
    first.wait_until_assigned()
    second = world.start()
    wait_until(
        lambda: first.said("owns 2 partitions") and second.said("owns 2 partitions"),
        20.0,
        "two partitions each",
    )


def test_a_killed_worker_loses_nothing(world: World) -> None:
    survivor, victim = world.start(), world.start()
    wait_until(
        lambda: survivor.said("owns 2 partitions") and victim.said("owns 2 partitions"),
        20.0,
        "two partitions each",
    )
    executioner = threading.Timer(1.5, victim.kill)
    executioner.start()
    world.send_steadily(3.0, 2_000)
    executioner.join()
    world.wait_until_committed()
    copies = world.copies()
    assert set(copies) == set(range(world.sent))
    repeated = sum(copies.values()) - world.sent
    print(f"{repeated} of {world.sent} repeated")
    assert survivor.terminate() == 0


def test_a_static_member_comes_back_without_a_rebalance(world: World) -> None:
    first = world.start(group_instance_id="a", session_timeout_ms=20_000)
    second = world.start(group_instance_id="b", session_timeout_ms=20_000)
    wait_until(
        lambda: first.said("owns 2 partitions") and second.said("owns 2 partitions"),
        20.0,
        "two partitions each",
    )
    world.send(1_000)
    assignments = first.log.read_text().count("owns")
    second.kill()
    world.send(1_000)
    again = world.start(group_instance_id="b", session_timeout_ms=20_000)
    again.wait_until_assigned()
    world.wait_until_committed()
    assert set(world.copies()) == set(range(2_000))
    assert first.log.read_text().count("owns") == assignments, "the survivor was disturbed"
