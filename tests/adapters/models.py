"""A small trained model and a repository with it, for tests that score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from inference.model import DataRange, ModelMetadata, TrainedModel
from inference.repository import ModelRepository
from inference.scorer import Matrix
from inference.spec import ModelSpec, Parameter
from inference.training import train

COLUMNS = 15
NAMES = tuple(f"feature_{i}" for i in range(COLUMNS))
FINGERPRINT = "0123456789abcdef"
CREATED_AT_MS = 1_700_000_000_000
PARAMETERS: dict[str, Parameter] = {
    "objective": "binary:logistic",
    "max_depth": 5,
    "seed": 7,
    "nthread": 1,
}


def random_rows(rows: int, seed: int, columns: int = COLUMNS) -> Matrix:
    """Normal values with some NaN (missing), float32 (rows, columns)."""
    rng = np.random.default_rng(seed)
    matrix = rng.normal(size=(rows, columns)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.02] = np.nan
    return matrix


def trained_model(
    name: str = "fraud", *, seed: int = 1, rounds: int = 20, columns: int = COLUMNS
) -> TrainedModel:
    """A model that found something: the product of two columns."""
    matrix = random_rows(2_000, seed, columns)
    labels = np.nan_to_num(matrix[:, 0] * matrix[:, 1] + matrix[:, 2]) > 1
    return train(
        ModelSpec(name, PARAMETERS, rounds=rounds, threshold=0.4),
        matrix,
        labels,
        feature_names=NAMES[:columns],
        feature_fingerprint=FINGERPRINT,
        data_range=DataRange(1_000, 2_000),
    )


def repository_at(
    root: Path, wall_ms: Callable[[], int] = lambda: CREATED_AT_MS
) -> ModelRepository:
    """The model repository under `root`, with a clock that stands still."""
    return ModelRepository(root, wall_ms=wall_ms)


def publish_named(repository: ModelRepository, trained: TrainedModel, name: str) -> ModelMetadata:
    """Publishes the same model under another name."""
    return repository.publish(replace(trained, spec=replace(trained.spec, name=name)))
