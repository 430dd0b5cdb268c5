"""From a history to a champion: features, training, publication, warm on Triton."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deploy.bootstrap import group_of, model_repository, wall_ms
from deploy.endpoints import transport_settings
from deploy.settings import Settings
from featurizers.offline import compute
from inference.model import DataRange, ModelMetadata, TrainedModel
from inference.training import HeldOut, train
from inference.triton.control import ModelControl
from inference.triton.rollout import bring_into_service
from streams.history import History, read_history
from streams.pipeline import Pipeline
from streams.topic_history import read_topics

Say = Callable[[str], None]
THREADS = 2


def history_of(pipeline: Pipeline, files: Sequence[Path], settings: Settings) -> History:
    """What the files hold, or the pipeline's own topics where none is given.

    Raises `DataFileError`, or the errors of reading a topic.
    """
    if files:
        return read_history(pipeline, files)
    transport = transport_settings(settings, group=group_of(pipeline, "train"), client="train")
    return read_topics(pipeline, transport, wall_ms())


def train_champion(
    pipeline: Pipeline,
    history: History,
    settings: Settings,
    *,
    from_ms: int,
    to_ms: int,
    say: Say,
) -> ModelMetadata:
    """Train on `from_ms <= event time < to_ms`, publish, load into Triton, make it champion.

    A row's features see only what was known at its event time; its label is the last one in the
    history. Where the history goes on, the model is also judged on the stretch that it would first
    have served, as long as the training range and beginning one label delay after it.

    Raises `TrainingError` when the range has rows of one class only, and the errors of the model
    repository and of Triton; the champion then stays what it was.
    """
    serves_from_ms = to_ms + pipeline.labels.delay_ms
    history = history.between(to_ms=serves_from_ms + (to_ms - from_ms))
    values, truth, times = _features(pipeline, history), history.truth(), history.event_times_ms
    known = ~np.isnan(truth)
    rows = _range(times, from_ms, to_ms) & known
    say(f"{int(rows.sum()):,} rows with labels, {int(truth[rows].sum()):,} of them positive")
    held = known & (times >= serves_from_ms)
    trained = train(
        pipeline.model,
        values[rows],
        truth[rows] != 0,
        feature_names=pipeline.features.names,
        feature_fingerprint=pipeline.features.fingerprint(),
        data_range=DataRange(from_ms, to_ms),
        held_out=HeldOut(values[held], truth[held] != 0) if held.any() else None,
    )
    return _publish(trained, settings, say)


def _features(pipeline: Pipeline, history: History) -> NDArray[np.float64]:
    return compute(
        pipeline.features,
        history.events_facts(),
        history.labels_facts(),
        history.label_known_at_ms,
        threads=THREADS,
    )


def _range(times: NDArray[np.int64], from_ms: int, to_ms: int) -> NDArray[np.bool_]:
    return (times >= from_ms) & (times < to_ms)


def _publish(trained: TrainedModel, settings: Settings, say: Say) -> ModelMetadata:
    repository = model_repository(settings)
    metadata = repository.publish(trained)
    name, version = metadata.name, metadata.version
    champion = repository.champion(name)
    control = ModelControl(settings.triton.url)
    try:
        bring_into_service(
            repository, control, name, version, beside=[] if champion is None else [champion]
        )
    finally:
        control.close()
    repository.set_champion(name, version)
    say(f"model {name} version {version} is loaded and champion")
    return metadata
