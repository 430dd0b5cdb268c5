"""A worker that copies one topic to another; started by the tests as a process of its own.

Arguments: one JSON object with bootstrap, group, source, sink, and what may be varied.
"""

import json
import logging
import random
import sys
import time

from prometheus_client import CollectorRegistry

from streams.transport.batch import KafkaRecord, MicroBatch
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.settings import TransportSettings
from streams.transport.topics import TopicSpec
from streams.transport.worker import StreamWorker


class PassThrough:
    """Publishes key, value, headers and timestamp of every record to the sink."""

    def __init__(self, producer: BatchProducer, sink: str) -> None:
        self._producer = producer
        self._sink = sink

    def process(self, batch: MicroBatch) -> None:
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


def main() -> int:
    options = json.loads(sys.argv[1])
    sink = options.pop("sink")
    source = options.pop("source")
    level = options.pop("log", "INFO")
    logging.basicConfig(level=level, format="%(relativeCreated)d %(levelname)s %(message)s")
    settings = TransportSettings(**options)
    producer = BatchProducer(settings)
    worker = StreamWorker(
        settings,
        name="pass-through",
        topics=[TopicSpec(source)],
        processor=PassThrough(producer, sink),
        producer=producer,
        metrics=TransportMetrics(CollectorRegistry()),
        rng=random.Random(1),
        clock=time.monotonic,
    )
    return worker.run()


if __name__ == "__main__":
    sys.exit(main())
