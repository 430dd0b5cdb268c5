"""Challengers that learn from outcomes while the champion serves, and what they may cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec
import numpy as np
from river import linear_model, optim, preprocessing

from online_learning.batches import BoolArray, FloatArray
from online_learning.errors import SnapshotError


class Learner(Protocol):
    """A model that scores events and learns from their labels when these become known.

    Learning in two calls or in one gives the same learner. Rows with a feature that is not finite
    are scored like any other but never learned from.
    """

    @property
    def name(self) -> str:
        """Its name in metrics and reports; unique in a pipeline."""
        ...

    def score_many(self, features: FloatArray) -> FloatArray:
        """float64[n] in [0, 1] for float64[n, f]; learns nothing."""
        ...

    def learn_many(self, features: FloatArray, positive: BoolArray) -> None:
        """Learn from n examples (float64[n, f], bool[n]) in their order."""
        ...

    def snapshot(self) -> bytes:
        """All that it learned, as JSON: reading it back executes nothing."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue exactly from a `snapshot`. Raises `SnapshotError` when it does not fit."""
        ...


class _LogisticState(msgspec.Struct, frozen=True):
    features: tuple[str, ...]
    examples: int
    means: list[float]
    variances: list[float]
    weights: list[float]
    intercept: float
    steps: int


class LogisticLearner:
    """River's standard scaler and logistic regression, one gradient step an example.

    Scores are computed for whole batches from River's own weights, and equal those of
    `predict_proba_one` up to rounding.

    Attributes
    ----------
    learning_rate:
        Of the stochastic gradient, for weights and intercept.
    """

    name = "river_logistic"

    def __init__(self, features: Sequence[str], learning_rate: float = 0.01) -> None:
        self._features = tuple(features)
        self._scaler = preprocessing.StandardScaler()
        self._model = linear_model.LogisticRegression(
            optimizer=optim.SGD(learning_rate), intercept_lr=learning_rate
        )
        self._examples = 0

    def score_many(self, features: FloatArray) -> FloatArray:
        """See `Learner.score_many`. Before the first example every score is one half."""
        means, deviations = self._vector(self._scaler.means), self._deviations()
        centred = np.nan_to_num(features - means, nan=0.0, posinf=0.0, neginf=0.0)
        scaled = np.divide(centred, deviations, out=np.zeros_like(centred), where=deviations > 0)
        logits = scaled @ self._vector(self._model.weights) + self._model.intercept
        scores: FloatArray = 1.0 / (1.0 + np.exp(-np.clip(logits, -500.0, 500.0)))
        return scores

    def learn_many(self, features: FloatArray, positive: BoolArray) -> None:
        """See `Learner.learn_many`."""
        usable = np.isfinite(features).all(axis=1)
        names, scaler, model = self._features, self._scaler, self._model
        examples = zip(features[usable].tolist(), positive[usable].tolist(), strict=True)
        for row, truth in examples:
            example = dict(zip(names, row, strict=True))
            scaler.learn_one(example)
            model.learn_one(scaler.transform_one(example), truth)
        self._examples += int(usable.sum())

    def snapshot(self) -> bytes:
        """See `Learner.snapshot`."""
        return msgspec.json.encode(
            _LogisticState(
                features=self._features,
                examples=self._examples,
                means=self._vector(self._scaler.means).tolist(),
                variances=self._vector(self._scaler.vars).tolist(),
                weights=self._vector(self._model.weights).tolist(),
                intercept=float(self._model.intercept),
                steps=self._model.optimizer.n_iterations,
            )
        )

    def restore(self, state: bytes) -> None:
        """See `Learner.restore`."""
        try:
            saved = msgspec.json.decode(state, type=_LogisticState)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"{self.name}: {error}") from error
        if saved.features != self._features:
            raise SnapshotError(f"{self.name}: the snapshot is of other features")
        names = self._features if saved.examples else ()
        self._examples = saved.examples
        for target, values in (
            (self._scaler.means, saved.means),
            (self._scaler.vars, saved.variances),
            (self._scaler.counts, [saved.examples] * len(saved.means)),
            (self._model._weights, saved.weights),
        ):
            target.clear()
            target.update(dict(zip(names, values, strict=False)))
        self._model.intercept = saved.intercept
        self._model.optimizer.n_iterations = saved.steps

    def _vector(self, by_name: dict[str, float]) -> FloatArray:
        return np.array([by_name.get(name, 0.0) for name in self._features])

    def _deviations(self) -> FloatArray:
        deviations: FloatArray = np.sqrt(self._vector(self._scaler.vars))
        return deviations


@dataclass(slots=True)
class LearningBudget:
    """How much a challenger may learn: at most `per_s` examples a second of wall time.

    Examples beyond it are shed evenly over the batch, and counted. Saving up is limited to one
    second's worth.

    Attributes
    ----------
    clock:
        Seconds; when it goes back, nothing is earned.
    """

    per_s: int
    clock: Callable[[], float]
    learned: int = 0
    shed: int = 0
    _saved: float = 0.0
    _asked_at_s: float | None = None

    def admit(self, n: int) -> BoolArray:
        """bool[n]: which of the next n examples are to be learned."""
        now_s = self.clock()
        elapsed_s = 1.0 if self._asked_at_s is None else max(0.0, now_s - self._asked_at_s)
        self._saved = min(self._saved + elapsed_s * self.per_s, float(self.per_s))
        self._asked_at_s = now_s
        admitted = min(n, int(self._saved))
        self._saved -= admitted
        self.learned += admitted
        self.shed += n - admitted
        mask = np.zeros(n, dtype=np.bool_)
        mask[np.arange(admitted) * n // max(admitted, 1)] = True
        return mask
