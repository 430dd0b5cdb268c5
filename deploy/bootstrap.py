"""The composition root: every object of a process is made here, from the settings.

Nothing else in Headrace decides which adapter stands behind a port.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from deploy.endpoints import transport_settings
from deploy.settings import Settings
from featurizers.store.connection import RedisConnection
from featurizers.store.redis import RedisSettings, RedisStore
from inference.breaker import Breaker
from inference.errors import ScorerError, VersionNotFound
from inference.fallback import FallbackScorer
from inference.local import LocalScorer
from inference.repository import ModelRepository
from inference.triton.scorer import TritonScorer
from streams.join_store import RedisJoinStore
from streams.pipeline import Pipeline
from streams.transport.topics import TopicSpec, ensure_topics

log = logging.getLogger(__name__)

WORKER = "worker"
MONITOR = "monitor"
# Role -> the kinds of topics that it reads.
READS: Mapping[str, tuple[str, ...]] = {
    WORKER: ("events", "labels"),
    MONITOR: ("predictions", "labels"),
}
# Everything keyed like the events has their partition count; alerts are few and compacted.
SINGLE_PARTITION = frozenset({"alerts"})
TOPIC_CONFIG: Mapping[str, Mapping[str, str]] = {"alerts": {"cleanup.policy": "compact"}}


def wall_ms() -> int:
    """The wall clock, milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def group_of(pipeline: Pipeline, role: str) -> str:
    """The consumer group of a pipeline's workers or monitors."""
    return f"headrace-{pipeline.name}-{role}"


def topic_spec(pipeline: Pipeline, kind: str) -> TopicSpec:
    """The topic of one kind as it is created and checked."""
    return TopicSpec(
        pipeline.topic(kind),
        partitions=1 if kind in SINGLE_PARTITION else pipeline.partitions,
        config=TOPIC_CONFIG.get(kind, {}),
    )


def model_repository(settings: Settings) -> ModelRepository:
    """The model repository that Triton reads."""
    return ModelRepository(settings.model_repository, wall_ms=wall_ms)


def feature_store(pipeline: Pipeline, settings: Settings) -> RedisStore:
    """The online store of a pipeline."""
    return RedisStore(
        RedisSettings(
            url=settings.store.url.get_secret_value(),
            namespace=f"{pipeline.name}:0",
            connect_timeout_s=settings.store.timeout_ms / 1000,
            read_timeout_s=settings.store.timeout_ms / 1000,
        )
    )


def join_store(pipeline: Pipeline, settings: Settings) -> tuple[RedisJoinStore, RedisConnection]:
    """The store of a pipeline's label join, and the connection to close in the end."""
    connection = RedisConnection(
        settings.store.url.get_secret_value(),
        connect_timeout_s=settings.store.timeout_ms / 1000,
        read_timeout_s=settings.store.timeout_ms / 1000,
    )
    return RedisJoinStore(connection, pipeline.name), connection


def champion_scorer(pipeline: Pipeline, settings: Settings) -> FallbackScorer:
    """The champion on Triton, the same version in process behind it; warmed.

    Triton that does not answer is no reason not to start: the local model stands in, predictions
    say so, and Triton is taken up again when it is back.

    Raises `VersionNotFound` when no champion was chosen, `CorruptModel`, or `ModelMismatch` when
    it was trained on other features.
    """
    repository = model_repository(settings)
    name = pipeline.model.name
    version = repository.champion(name)
    if version is None:
        raise VersionNotFound(
            f"model {name} has no champion under {repository.root}: train one with "
            f"`headrace train {pipeline.name} --data FILE --from DAY --to DAY`"
        )
    stored = repository.read(name, version)
    model = stored.metadata.model
    model.require_features(pipeline.features.names, pipeline.features.fingerprint())
    remote = TritonScorer(model, settings.triton.url, deadline_ms=settings.triton.timeout_ms)
    scorer = FallbackScorer(remote, LocalScorer(stored), Breaker(f"triton-{name}"))
    try:
        scorer.warm()
    except ScorerError as error:
        log.warning("%s; scoring with the local model until it does", error)
    return scorer


def prepare(pipeline: Pipeline, settings: Settings) -> None:
    """Create the pipeline's topics and load the store's functions: the step before any worker.

    Safe to repeat. Raises the errors of `streams` and `featurizers`.
    """
    transport = transport_settings(
        settings, group=group_of(pipeline, WORKER), client="headrace-prepare"
    )
    ensure_topics(transport, [topic_spec(pipeline, kind) for kind in pipeline.topics])
    store = feature_store(pipeline, settings)
    store.deploy_functions()
    store.close()
    join, connection = join_store(pipeline, settings)
    join.deploy_functions()
    connection.close()
