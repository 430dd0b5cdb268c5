"""Real servers for tests: started at the first test that asks, stopped with the session.

They share nothing with `headrace up` but the downloads: state lies in a folder of its own.
"""

import itertools
import os
import random
import re
import shutil
import socket
import tempfile
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from deploy.stack.fetch import ensure_fetched
from deploy.stack.identity import Identity
from deploy.stack.kafka import Kafka
from deploy.stack.layout import Layout
from deploy.stack.service import Service
from deploy.stack.stack import Stack
from deploy.stack.triton import Triton
from deploy.stack.valkey import Valkey

SESSION_PREFIX = "headrace-tests-"
OWNER = "owner"

Starter = Callable[[Callable[[Layout], Service]], dict[str, int]]


def _announce(line: str) -> None:
    print(line, flush=True)


def _stack(layout: Layout, service: Service) -> Stack:
    return Stack(layout, [service], say=_announce, rng=random.Random(uuid.uuid4().int))


def _sweep_dead_sessions() -> None:
    """Ends servers of test sessions that were killed before they could do it themselves."""
    for folder in Path(tempfile.gettempdir()).glob(f"{SESSION_PREFIX}*"):
        owner = folder / OWNER
        if folder.stat().st_uid != os.getuid() or not owner.exists():
            continue
        pid, _, start_ticks = owner.read_text().partition(" ")
        living = Identity.of(int(pid))
        if living is None or str(living.start_ticks) != start_ticks:
            layout = Layout(folder, folder / "state", folder)
            for make in (Kafka, Valkey, Triton):
                _stack(layout, make(layout)).down()
            shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack_layout() -> Iterator[Layout]:
    """A throw-away state folder that shares the checkout's downloads."""
    _sweep_dead_sessions()
    checkout = Layout.discover()
    folder = Path(tempfile.mkdtemp(prefix=SESSION_PREFIX))
    me = Identity.of(os.getpid())
    assert me is not None
    (folder / OWNER).write_text(f"{me.pid} {me.start_ticks}")
    yield Layout(checkout.checkout, folder / "state", checkout.fetched)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def start_service(stack_layout: Layout) -> Iterator[Starter]:
    """Starts one kind of server and returns its ports; all are stopped with the session."""
    started: list[Stack] = []

    def start(make: Callable[[Layout], Service]) -> dict[str, int]:
        ensure_fetched(stack_layout, _announce)
        stack = _stack(stack_layout, make(stack_layout))
        started.append(stack)
        return stack.up()

    yield start
    for stack in started:
        stack.down()


@pytest.fixture(scope="session")
def kafka_bootstrap(start_service: Starter) -> str:
    """Bootstrap address of a real broker."""
    return f"127.0.0.1:{start_service(Kafka)['kafka']}"


@pytest.fixture(scope="session")
def valkey_url(start_service: Starter) -> str:
    """URL of a real Valkey, shared by the session: use keys of your own, or `clean_valkey_url`."""
    return f"redis://127.0.0.1:{start_service(Valkey)['valkey']}/0"


@pytest.fixture
def clean_valkey_url(valkey_url: str) -> str:
    """The same Valkey, with every key and function removed before the test."""
    port = urlsplit(valkey_url).port
    assert port is not None
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"FLUSHALL\r\nFUNCTION FLUSH\r\n")
        answers = b""
        while answers.count(b"\r\n") < 2:
            answers += connection.recv(64)
    assert answers == b"+OK\r\n+OK\r\n"
    return valkey_url


@pytest.fixture(scope="session")
def triton_url(start_service: Starter) -> str:
    """gRPC address of a real Triton that has no model loaded."""
    return f"127.0.0.1:{start_service(Triton)['triton-grpc']}"


@pytest.fixture(scope="session")
def triton_repository(stack_layout: Layout, triton_url: str) -> Path:
    """The model repository of that Triton; a model is loaded by asking the server for it."""
    return stack_layout.models


@pytest.fixture
def topic_name(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """Makes topic (or group) names that no other test and no other run uses."""
    test = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")[:60]
    run, count = uuid.uuid4().hex[:8], itertools.count()

    def make(label: str = "topic") -> str:
        return f"{test}-{run}-{label}-{next(count)}"

    return make
