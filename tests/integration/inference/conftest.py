"""Servers for the tests of scoring."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.stack.fetch import ensure_fetched
from deploy.stack.layout import Layout
from tests.adapters.triton import OwnTriton


@pytest.fixture
def own_triton(tmp_path: Path, stack_layout: Layout) -> Iterator[OwnTriton]:
    """A Triton that the test may harm."""
    ensure_fetched(stack_layout, print)
    triton = OwnTriton(tmp_path / "state", stack_layout, random.Random(tmp_path.as_posix()))
    triton.start()
    yield triton
    triton.stop()
    print("Triton's log ended with:", *triton.log().splitlines()[-30:], sep="\n")
