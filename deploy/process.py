"""What a worker and a monitor have in common: a stream, metrics over HTTP, a place in the list."""

from __future__ import annotations

import logging

from prometheus_client import CollectorRegistry

from deploy.bootstrap import READS, topic_spec
from deploy.metrics.server import serve_metrics
from deploy.running import register
from deploy.settings import MetricsSettings
from deploy.stack.layout import Layout
from streams.pipeline import Pipeline
from streams.transport.lane import BatchProcessor
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer
from streams.transport.settings import TransportSettings
from streams.transport.worker import StreamWorker

log = logging.getLogger(__name__)

STALLED_AFTER_S = 30.0


def run_stream(
    pipeline: Pipeline,
    role: str,
    processor: BatchProcessor,
    producer: BatchProducer,
    *,
    transport: TransportSettings,
    registry: CollectorRegistry,
    metrics: MetricsSettings,
    layout: Layout,
) -> int:
    """Feed `processor` from the topics that the role reads until stopped; the exit code.

    While it runs, /metrics, /live (the loop turns) and /ready (partitions are assigned) answer,
    and `headrace watch` finds the process. Raises `DeployError` when the address of /metrics is
    taken.
    """
    worker = StreamWorker(
        transport,
        name=transport.client_id,
        topics=[topic_spec(pipeline, kind) for kind in READS[role]],
        processor=processor,
        producer=producer,
        metrics=TransportMetrics(registry),
    )
    with (
        serve_metrics(
            registry,
            host=metrics.host,
            port=metrics.port,
            live=lambda: _stalled(worker),
            ready=lambda: _not_ready(worker),
        ) as server,
        register(layout, role, pipeline.name, server.url),
    ):
        log.info("%s serves its metrics at %s", transport.client_id, server.url)
        return worker.run()


def _stalled(worker: StreamWorker) -> dict[str, str]:
    seconds = worker.seconds_since_turn
    return {"loop": f"has not turned for {seconds:.0f} s"} if seconds > STALLED_AFTER_S else {}


def _not_ready(worker: StreamWorker) -> dict[str, str]:
    return {} if worker.assigned else {"kafka": "no partition is assigned"}
