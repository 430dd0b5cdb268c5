"""The one place that calls xgboost: train, save to bytes, load from bytes, predict."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from inference.errors import CorruptModel, TrainingError
from inference.scorer import Matrix, Scores
from inference.spec import Parameter

XGBOOST_VERSION: str = xgboost.__version__

_FORMAT = "ubj"
_UNUSED = "are not used"


class Booster:
    """A boosted-tree model in memory.

    It is read from xgboost's UBJSON, a data format: loading runs none of its content.
    """

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    @classmethod
    def load(cls, data: bytes, *, threads: int = 1) -> Booster:
        """Reads a model whose checksum was right. Raises CorruptModel when it is no xgboost model.

        Never hand it unverified bytes: xgboost 3.2 ends the process on some truncated models.
        """
        try:
            booster = xgboost.Booster(params={"nthread": threads})
            booster.load_model(bytearray(data))
        except xgboost.core.XGBoostError as error:
            cause = str(error).strip().splitlines()[-1]
            raise CorruptModel(f"the bytes are not an xgboost model: {cause}") from error
        return cls(booster)

    def save(self) -> bytes:
        """The model as UBJSON; equal models give equal bytes."""
        return bytes(self._booster.save_raw(raw_format=_FORMAT))

    @property
    def columns(self) -> int:
        """How many features a row has."""
        return int(self._booster.num_features())

    def predict(self, matrix: Matrix) -> Scores:
        """Scores of float32 rows; NaN is a missing value. A row's score depends on no other row."""
        if len(matrix) == 0:
            return np.empty(0, dtype=np.float32)
        scores: Scores = self._booster.inplace_predict(matrix)
        return scores


def train_booster(
    features: Matrix,
    labels: NDArray[np.bool_],
    *,
    names: Sequence[str],
    parameters: Mapping[str, Parameter],
    rounds: int,
) -> Booster:
    """Trains on float32 rows (n, f) and their labels (n,); the same input gives the same model.

    Raises TrainingError when xgboost refuses the parameters or the data.
    """
    try:
        with warnings.catch_warnings(record=True) as issued:
            warnings.simplefilter("always")
            data = xgboost.DMatrix(features, label=labels, feature_names=list(names))
            booster = xgboost.train(dict(parameters), data, num_boost_round=rounds)
    except (xgboost.core.XGBoostError, ValueError) as error:
        cause = next(iter(str(error).strip().splitlines()), "no reason given")
        raise TrainingError(f"xgboost refused to train: {cause}") from error
    for warning in issued:
        # xgboost only warns of a misspelled parameter, and then trains another model than asked.
        if _UNUSED in str(warning.message):
            lines = str(warning.message).strip().splitlines()
            raise TrainingError(f"xgboost does not know these: {lines[-1]}")
        warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return Booster(booster)
