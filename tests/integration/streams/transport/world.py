"""What the transport's tests share: topics of their own, processes, and a way to wait."""

import json
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from streams.transport.batch import KafkaRecord
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec, ensure_topics, group_lag

PARTITIONS = 4
ROOT = Path(__file__).parents[4]


def wait_until(condition: Callable[[], bool], timeout_s: float, what: str) -> None:
    """Return when the condition holds; fail with what was awaited when it never does."""
    give_up_at = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < give_up_at, f"not within {timeout_s:g} s: {what}"
        time.sleep(0.05)


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Worker:
    """One pass-through process."""

    def __init__(self, options: dict[str, Any], log: Path) -> None:
        self.log = log
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", f"{__package__}.passthrough", json.dumps(options)],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
            )

    def said(self, words: str) -> bool:
        return words in self.log.read_text()

    def wait_until_assigned(self) -> None:
        wait_until(lambda: self.said("owns"), 30.0, f"an assignment; it said {self.log}")

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(30)


class World:
    """A source, a sink, a group of workers, and what was sent."""

    def __init__(self, bootstrap: str, name: Callable[[str], str], folder: Path) -> None:
        self.settings = TransportSettings(bootstrap=bootstrap, group_id=name("group"))
        self.source, self.sink = name("in"), name("out")
        self.folder = folder
        self.workers: list[Worker] = []
        self.sent = 0
        self.producer = BatchProducer(self.settings)
        names = (self.source, self.sink, f"{self.sink}-rejected")
        ensure_topics(self.settings, [TopicSpec(topic, PARTITIONS) for topic in names])

    def start(self, **changes: Any) -> Worker:
        """Start one more worker; ``trouble`` says what is to go wrong."""
        options = {
            "bootstrap": self.settings.bootstrap,
            "group_id": self.settings.group_id,
            "source": self.source,
            "sink": self.sink,
            "session_timeout_ms": 6000,
            "commit_interval_ms": 200,
            "trouble": {},
            **changes,
        }
        worker = Worker(options, self.folder / f"worker-{len(self.workers)}.log")
        self.workers.append(worker)
        return worker

    def send(self, count: int, value: Callable[[int], bytes] = lambda n: b"%d" % n) -> None:
        """Publish ``count`` more records, keys repeating, and wait for the broker."""
        deliveries = Deliveries(self.producer)
        for number in range(self.sent, self.sent + count):
            self.producer.send(
                self.source,
                key=b"key-%d" % (number % 50),
                value=value(number),
                headers=[("number", b"%d" % number)],
                timestamp_ms=1_500_000_000_000 + number,
                deliveries=deliveries,
            )
        deliveries.wait(30.0)
        self.sent += count

    def send_steadily(self, seconds: float, rate: int) -> None:
        """Publish at ``rate`` records/s."""
        begun = time.monotonic()
        sent_before = self.sent
        while (passed := time.monotonic() - begun) < seconds:
            due = int(passed * rate) - (self.sent - sent_before)
            if due > 0:
                self.send(due)
            self.producer.poll(0.02)

    def lag(self) -> int:
        return sum(group_lag(self.settings, [self.source]).values())

    def wait_until_committed(self, timeout_s: float = 60.0) -> None:
        wait_until(lambda: self.lag() == 0, timeout_s, f"everything committed in {self.source}")

    def published(self) -> Iterator[KafkaRecord]:
        for batch in read_topic(self.settings, self.sink):
            yield from batch

    def copies(self) -> Counter[int]:
        """How often each number arrived."""
        return Counter(int(dict(r.headers() or [])["number"]) for r in self.published())

    def rejected(self) -> list[bytes | None]:
        batches = read_topic(self.settings, f"{self.sink}-rejected")
        return [record.value() for batch in batches for record in batch]

    def close(self) -> None:
        for worker in self.workers:
            worker.kill()
        self.producer.close(1.0)
