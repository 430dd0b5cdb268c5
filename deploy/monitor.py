"""A monitor: from the settings to an exit code."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from prometheus_client import CollectorRegistry

from deploy.bootstrap import MONITOR, group_of, join_store, model_repository, wall_ms
from deploy.endpoints import transport_settings
from deploy.metrics.monitor import MonitorMetrics
from deploy.process import run_stream
from deploy.settings import Settings
from deploy.stack.layout import Layout
from inference.repository import ModelRepository
from online_learning.monitor import Monitor, MonitorOutput, build_monitor
from streams.monitoring import MonitorProcessor
from streams.pipeline import Pipeline
from streams.transport.producer import BatchProducer

log = logging.getLogger(__name__)

SHOW_EVERY_S = 1.0
# A monitor has time: fewer, larger requests leave the broker to those that have not.
PATIENCE_MS = 20
FETCH_BYTES = 65_536


def run_monitor(pipeline: Pipeline, settings: Settings, layout: Layout, name: str) -> int:
    """Watch over the pipeline's predictions until stopped; returns the exit code.

    One monitor a pipeline: what it learns and watches is in its own memory and begins anew when it
    is restarted; the label join is in the store and does not.
    """
    registry = CollectorRegistry()
    metrics = MonitorMetrics(registry, pipeline=pipeline.name)
    store, connection = join_store(pipeline, settings)
    transport = replace(
        transport_settings(settings, group=group_of(pipeline, MONITOR), client=name),
        linger_ms=PATIENCE_MS,
        fetch_min_bytes=FETCH_BYTES,
    )
    producer = BatchProducer(transport)
    monitor = build_monitor(
        pipeline.monitors,
        pipeline.features,
        store,
        pipeline=pipeline.name,
        threshold=_threshold(pipeline, model_repository(settings)),
        clock=time.time,
    )
    processor = MonitorProcessor(
        pipeline, monitor, producer, observe=observer(metrics, time.monotonic), wall_ms=wall_ms
    )
    try:
        return run_stream(
            pipeline,
            MONITOR,
            processor,
            producer,
            transport=transport,
            registry=registry,
            metrics=settings.metrics,
            layout=layout,
        )
    finally:
        connection.close()


def observer(
    metrics: MonitorMetrics, clock: Callable[[], float]
) -> Callable[[Monitor, MonitorOutput], None]:
    """What shows the monitor's state, at most once a second; alerts are logged as they come."""
    shown_at = float("-inf")

    def observe(monitor: Monitor, output: MonitorOutput) -> None:
        nonlocal shown_at
        for alert in output.alerts:
            log.warning(
                "%s %s of %s (%s): %.3g against %.3g",
                *(alert.kind, alert.state, alert.subject, alert.severity),
                *(alert.evidence.effect, alert.evidence.threshold),
            )
        if output.alerts or clock() - shown_at >= SHOW_EVERY_S:
            shown_at = clock()
            metrics.update(monitor.snapshot())

    return observe


def _threshold(pipeline: Pipeline, repository: ModelRepository) -> float:
    """The champion's own threshold; the pipeline's while there is no champion."""
    version = repository.champion(pipeline.model.name)
    if version is None:
        return pipeline.model.threshold
    return repository.metadata(pipeline.model.name, version).threshold
