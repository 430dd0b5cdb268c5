"""A monitor: from the settings to an exit code."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from deploy.bootstrap import MONITOR, group_of, join_store, model_repository, topic_spec, wall_ms
from deploy.endpoints import transport_settings
from deploy.metrics.monitor import QUALITIES, ActiveAlert, MonitorMetrics
from deploy.metrics.server import serve_metrics
from deploy.running import register
from deploy.settings import Settings
from deploy.stack.layout import Layout
from deploy.worker import not_ready, stalled
from inference.repository import ModelRepository
from online_learning.monitor import Monitor, MonitorOutput, build_monitor
from online_learning.snapshots import MonitorSnapshot
from streams.monitoring import MonitorProcessor
from streams.pipeline import Pipeline
from streams.transport.metrics import TransportMetrics
from streams.transport.producer import BatchProducer
from streams.transport.worker import StreamWorker

log = logging.getLogger(__name__)

SHOW_EVERY_S = 1.0
# Names of the join's counts -> names of the metrics.
JOIN_COUNTS = {
    "joined": "outcomes",
    "corrected_labels": "outcomes_corrected",
    "repeated_labels": "labels_repeated",
    "orphans": "labels_orphaned",
    "unlabelled": "predictions_unlabelled",
}


def run_monitor(pipeline: Pipeline, settings: Settings, layout: Layout, name: str) -> int:
    """Watch over the pipeline's predictions until stopped; returns the exit code.

    One monitor a pipeline: what it learns and watches is in its own memory and begins anew when it
    is restarted; the label join is in the store and does not.
    """
    registry = CollectorRegistry()
    metrics = MonitorMetrics(registry, pipeline=pipeline.name)
    store, connection = join_store(pipeline, settings)
    transport = transport_settings(settings, group=group_of(pipeline, MONITOR), client=name)
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
    worker = StreamWorker(
        transport,
        name=name,
        topics=[topic_spec(pipeline, kind) for kind in ("predictions", "labels")],
        processor=processor,
        producer=producer,
        metrics=TransportMetrics(registry),
    )
    with (
        serve_metrics(
            registry,
            host=settings.metrics.host,
            port=settings.metrics.port,
            live=lambda: stalled(worker),
            ready=lambda: not_ready(worker),
        ) as server,
        register(layout, MONITOR, pipeline.name, server.url),
    ):
        log.info("%s serves its metrics at %s", name, server.url)
        try:
            return worker.run()
        finally:
            connection.close()


def observer(
    metrics: MonitorMetrics, clock: Callable[[], float]
) -> Callable[[Monitor, MonitorOutput], None]:
    """What shows the monitor's state, at most once a second; alerts are logged as they come."""
    shown_at = float("-inf")
    raised = 0

    def observe(monitor: Monitor, output: MonitorOutput) -> None:
        nonlocal shown_at, raised
        for alert in output.alerts:
            raised += alert.state == "raised"
            log.warning(
                "%s %s of %s (%s): %.3g against %.3g",
                *(alert.kind, alert.state, alert.subject, alert.severity),
                *(alert.evidence.effect, alert.evidence.threshold),
            )
        if output.alerts or clock() - shown_at >= SHOW_EVERY_S:
            shown_at = clock()
            show(metrics, monitor.snapshot(), raised)

    return observe


def show(metrics: MonitorMetrics, snapshot: MonitorSnapshot, alerts_raised: int) -> None:
    """Bring the metrics to where the snapshot stands."""
    window = snapshot.window
    for model in window.models if window else ():
        values = {name: getattr(model, name) for name in QUALITIES}
        metrics.quality(model.model, {n: v for n, v in values.items() if v is not None})
    if window is not None and window.coverage is not None:
        metrics.labels(coverage=window.coverage, mean_delay_ms=window.mean_delay_ms)
    psi = {d.subject: d.effect for d in snapshot.drift if d.kind != "error_drift"}
    thresholds = [d.threshold for d in snapshot.drift if d.kind != "error_drift"]
    if thresholds:
        metrics.drift(psi, threshold=thresholds[0])
    counts = {metric: snapshot.join[count] for count, metric in JOIN_COUNTS.items()}
    counts["learned"] = sum(learner.learned for learner in snapshot.learners)
    counts["shed"] = sum(learner.shed for learner in snapshot.learners)
    metrics.counts({**counts, "alerts_raised": alerts_raised})
    metrics.alerts(
        ActiveAlert(
            kind=alert.kind,
            subject=alert.subject,
            severity=alert.severity,
            effect_size=alert.evidence.effect,
            since_event_time_ms=alert.since_event_time_ms,
        )
        for alert in snapshot.open_alerts
    )


def _threshold(pipeline: Pipeline, repository: ModelRepository) -> float:
    """The champion's own threshold; the pipeline's while there is no champion."""
    version = repository.champion(pipeline.model.name)
    if version is None:
        return pipeline.model.threshold
    return repository.metadata(pipeline.model.name, version).threshold
