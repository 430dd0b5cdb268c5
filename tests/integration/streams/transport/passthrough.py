"""A worker that copies one topic to another, run by the tests as a process of its own.

Takes one JSON object: the transport's settings, source, sink, and what is to go wrong.
"""

import ctypes
import json
import logging
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from streams.errors import BrokerUnavailable
from streams.transport.batch import KafkaRecord, MicroBatch
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec
from streams.transport.worker import StreamWorker

POISON = b"poison"


class PassThrough:
    """Publishes key, value, headers and timestamp of every record, and where it came from.

    ``never_done`` publishes nothing and finishes nothing; while the file ``outage`` exists,
    every batch fails with a retriable error; a record of value `POISON` fails its batch.
    """

    def __init__(self, producer: BatchProducer, sink: str, trouble: dict[str, Any]) -> None:
        self._producer = producer
        self._sink = sink
        self._never_done = trouble.get("never_done", False)
        self._outage = Path(trouble["outage"]) if "outage" in trouble else None
        self._work_s = trouble.get("work_s", 0.0)

    def process(self, batch: MicroBatch) -> None:
        time.sleep(self._work_s)
        if self._never_done:
            logging.info("holds %d records", len(batch))
            return
        if self._outage is not None and self._outage.exists():
            raise BrokerUnavailable("a server it needs is away")
        if any(record.value() == POISON for record in batch.records):
            raise ValueError("this record cannot be processed")
        deliveries = Deliveries(self._producer, batch)
        for record in batch.records:
            self._publish(record, deliveries)
        deliveries.close()

    def drain(self, deadline_s: float) -> None:
        del deadline_s

    def reject(self, record: KafkaRecord, error: Exception) -> None:
        deliveries = Deliveries(self._producer)
        self._producer.send(
            f"{self._sink}-rejected",
            key=record.key(),
            value=record.value(),
            headers=[("reason", str(error).encode())],
            deliveries=deliveries,
        )
        deliveries.wait(10.0)

    def _publish(self, record: KafkaRecord, deliveries: Deliveries) -> None:
        source = f"{record.partition()}:{record.offset()}".encode()
        self._producer.send(
            self._sink,
            key=record.key(),
            value=record.value(),
            headers=[*(record.headers() or []), ("source", source)],
            timestamp_ms=record.timestamp()[1],
            deliveries=deliveries,
        )


def _die_with_the_tests() -> None:
    # prctl(PR_SET_PDEATHSIG): a test session that is killed leaves no worker behind.
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main() -> int:
    _die_with_the_tests()
    options = json.loads(sys.argv[1])
    source, sink, trouble = (options.pop(name) for name in ("source", "sink", "trouble"))
    partitions = options.pop("partitions", None)
    logging.basicConfig(level="INFO", format="%(levelname)s %(message)s")
    settings = TransportSettings(**options)
    producer = BatchProducer(settings)
    worker = StreamWorker(
        settings,
        name="pass-through",
        topics=[TopicSpec(source, partitions)],
        processor=PassThrough(producer, sink, trouble),
        producer=producer,
        metrics=TransportMetrics(CollectorRegistry()),
        rng=random.Random(1),
    )
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
