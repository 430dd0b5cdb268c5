"""Training: from a matrix of features and its labels to a model that can be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.booster import XGBOOST_VERSION, Booster, train_booster
from inference.errors import TrainingError
from inference.evaluation import classification_metrics
from inference.model import DataRange, TrainedModel
from inference.scorer import Matrix
from inference.spec import ModelSpec

Features = NDArray[np.floating[Any]]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Rows of a later time, to evaluate on: features (n, f) and labels (n,)."""

    features: Features
    labels: NDArray[np.bool_]


def train(
    spec: ModelSpec,
    features: Features,
    labels: NDArray[np.bool_],
    *,
    feature_names: Sequence[str],
    feature_fingerprint: str,
    data_range: DataRange,
    held_out: HeldOut | None = None,
) -> TrainedModel:
    """Trains one model; the same input gives the same bytes.

    `features` is float (n, f), rounded to float32 as it is when serving; `labels` bool (n,).
    With `held_out`, its metrics are `roc_auc`, `average_precision`, `log_loss`, `held_out_rows`
    and `held_out_positives`.

    Raises TrainingError when shapes do not agree, a class is absent, a value is infinite, or
    xgboost refuses the parameters.
    """
    matrix = _checked(spec, features, labels, feature_names)
    booster = train_booster(
        matrix, labels, names=feature_names, parameters=spec.parameters, rounds=spec.rounds
    )
    return TrainedModel(
        spec=spec,
        model=booster.save(),
        feature_names=tuple(feature_names),
        feature_fingerprint=feature_fingerprint,
        data_range=data_range,
        rows=len(labels),
        positives=int(labels.sum()),
        metrics={} if held_out is None else _evaluate(booster, held_out),
        xgboost_version=XGBOOST_VERSION,
    )


def _checked(
    spec: ModelSpec,
    features: Features,
    labels: NDArray[np.bool_],
    names: Sequence[str],
) -> Matrix:
    if features.shape != (len(labels), len(names)):
        raise TrainingError(
            f"model {spec.name}: features have shape {features.shape} for {len(labels)} labels "
            f"and {len(names)} feature names"
        )
    positives = int(labels.sum())
    if positives in (0, len(labels)):
        raise TrainingError(
            f"model {spec.name}: {positives} of {len(labels)} training rows are positive, both "
            f"classes are needed: choose a longer range, or check that its labels have arrived"
        )
    matrix = np.ascontiguousarray(features, dtype=np.float32)
    infinite = np.isinf(matrix).any(axis=0)
    if infinite.any():
        column = names[int(infinite.argmax())]
        raise TrainingError(f"model {spec.name}: feature {column} holds infinite values")
    return matrix


def _evaluate(booster: Booster, held_out: HeldOut) -> dict[str, float]:
    scores = booster.predict(np.ascontiguousarray(held_out.features, dtype=np.float32))
    figures = {
        **classification_metrics(scores, held_out.labels),
        "held_out_rows": float(len(held_out.labels)),
        "held_out_positives": float(held_out.labels.sum()),
    }
    return {name: value for name, value in figures.items() if not np.isnan(value)}
