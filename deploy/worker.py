"""A scoring worker: from the settings to an exit code."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from deploy.bootstrap import (
    WORKER,
    champion_scorer,
    feature_store,
    group_of,
    wall_ms,
)
from deploy.endpoints import transport_settings
from deploy.metrics.worker import WorkerMetrics
from deploy.process import run_stream
from deploy.settings import Settings
from deploy.stack.layout import Layout
from featurizers.errors import StoreUnavailable
from featurizers.online import OnlineFeatures
from featurizers.store.port import FeatureStore
from inference.breaker import BreakerState
from inference.fallback import FallbackScorer
from streams.pipeline import Pipeline
from streams.scoring import ScoredBatch, ScoringProcessor
from streams.transport.producer import BatchProducer

log = logging.getLogger(__name__)

STORE_RETRY_S = 1.0


def run_worker(pipeline: Pipeline, settings: Settings, layout: Layout, name: str) -> int:
    """Score the pipeline's events until stopped; returns the exit code.

    A store that is not there yet is waited for; a refusal by the store, a missing champion or a
    model of other features ends it at once, in one line. Triton that is not there is stood in for
    by the local model. Kafka is waited for by the transport.
    """
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, pipeline=pipeline.name, features=pipeline.features.names)
    scorer = champion_scorer(pipeline, settings)
    store = feature_store(pipeline, settings)
    wait_for_store(store)
    transport = transport_settings(settings, group=group_of(pipeline, WORKER), client=name)
    producer = BatchProducer(transport)
    processor = ScoringProcessor(
        pipeline,
        features=OnlineFeatures(pipeline.features, store, time.perf_counter),
        scorer=scorer,
        producer=producer,
        observe=observer(metrics, scorer),
        wall_ms=wall_ms,
    )
    try:
        return run_stream(
            pipeline,
            WORKER,
            processor,
            producer,
            transport=transport,
            registry=registry,
            metrics=settings.metrics,
            layout=layout,
        )
    finally:
        scorer.close()
        store.close()


def wait_for_store(store: FeatureStore) -> None:
    """Return when the store can serve; say once that it is being waited for.

    Raises `StoreRefused` when it answers with a refusal.
    """
    said = False
    while True:
        try:
            store.check()
        except StoreUnavailable as error:
            if not said:
                log.warning("%s; waiting for it: start it, or correct its URL", error)
            said = True
            time.sleep(STORE_RETRY_S)
        else:
            return


def observer(
    metrics: WorkerMetrics, scorer: FallbackScorer
) -> Callable[[ScoredBatch, float], None]:
    """What tells the metrics of every micro-batch."""

    def observe(scored: ScoredBatch, publish_ms: float) -> None:
        for rejected in scored.rejected:
            metrics.dead_letter(rejected.stage, rejected.reason)
        metrics.scorer(
            model_version=scorer.model.version,
            breaker_open=scorer.state is not BreakerState.CLOSED,
        )
        n = len(scored.scores)
        if not n:
            return
        stages = scored.stages
        inside_ms = stages.wait_ms + stages.decode_ms + stages.store_ms + stages.kernel_ms
        inside_ms += stages.score_ms + publish_ms
        seconds: dict[str, float | NDArray[np.float64]] = {
            "broker": scored.broker_ms / 1000,
            "wait": stages.wait_ms / 1000,
            "decode": stages.decode_ms / 1000,
            "store": stages.store_ms / 1000,
            "kernel": stages.kernel_ms / 1000,
            "score": stages.score_ms / 1000,
            "publish": publish_ms / 1000,
            "total": (scored.broker_ms + inside_ms) / 1000,
        }
        metrics.batch(n, seconds)
        metrics.features(scored.features.values)
        metrics.predictions(
            scored.scores,
            positives=int(np.count_nonzero(scored.scores >= scorer.model.threshold)),
            newest_event_time_ms=int(scored.events.facts.times_ms.max()),
            late=int(scored.late.sum()),
            repeated=int(scored.features.repeated.sum()),
            degraded={scored.degraded: n} if scored.degraded else None,
        )
        metrics.lag_seconds(float(scored.broker_ms[-1]) / 1000)

    return observe
