"""One world per test, cleaned up whatever happens in it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.streams.transport.world import World


@pytest.fixture
def world(
    kafka_bootstrap: str, topic_name: Callable[[str], str], tmp_path: Path
) -> Iterator[World]:
    """Topics of its own on a real broker, and workers that end with the test."""
    world = World(kafka_bootstrap, topic_name, tmp_path)
    yield world
    world.close()
