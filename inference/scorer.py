"""The port of scoring: a matrix of features goes in, one number per row comes out.

A scorer belongs to one model version for its whole life. It touches no network before its first
call, is used from one thread, and every call has a deadline.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from inference.errors import ModelMismatch, ScorerRefused
from inference.model import ModelVersion

Matrix = NDArray[np.float32]
Scores = NDArray[np.float32]

DEGRADED_LOCAL_MODEL = "local_model"


class PendingScores(Protocol):
    """Scores that have been asked for."""

    @property
    def degraded(self) -> str | None:
        """After `result`: how the scores came about if not as configured, else None."""

    def result(self) -> Scores:
        """Waits for the scores, at most until the deadline that began with `submit`.

        Returns float32 of shape (n,), read-only, all finite; the same array when asked again.

        Raises ScorerUnavailable, ModelNotFound or ScorerRefused.
        """

    def cancel(self) -> None:
        """Gives the scores up. Harmless when they are already there."""


class Scorer(Protocol):
    """Scores rows with one model version."""

    @property
    def model(self) -> ModelVersion:
        """The version that every score comes from."""

    def submit(self, matrix: Matrix) -> PendingScores:
        """Sends the rows off and returns at once; the work goes on while the caller does other.

        `matrix` is float32 of shape (n, columns), n may be 0; it is not read after the return.

        Raises ModelMismatch for another dtype or shape, ScorerClosed after `close`.
        """

    def score(self, matrix: Matrix) -> Scores:
        """`submit(matrix).result()`."""

    def warm(self) -> None:
        """Returns when the scorer has answered once, so that the first batch finds it awake.

        Raises as `PendingScores.result` does.
        """

    def close(self) -> None:
        """Gives connections and memory back. Harmless when repeated."""


class Probe(Protocol):
    """A question that was sent to a remote scorer and is answered without anybody waiting."""

    def done(self) -> bool:
        """Whether the answer is there; moves the question along, never blocks."""

    def ready(self) -> bool:
        """After `done`: whether the scorer can score again."""


class RemoteScorer(Scorer, Protocol):
    """A scorer that can go away and come back."""

    def probe(self) -> Probe:
        """Starts finding out whether the model can be scored, loading it where it is missing."""


def require_matrix(model: ModelVersion, matrix: Matrix) -> None:
    """Raises ModelMismatch unless `matrix` is float32 of shape (n, model.columns)."""
    if matrix.dtype == np.float32 and matrix.ndim == 2 and matrix.shape[1] == model.columns:
        return
    raise ModelMismatch(
        f"model {model.name} version {model.version} scores float32 rows of {model.columns} "
        f"columns, not {matrix.dtype} of shape {matrix.shape}: check the pipeline's features"
    )


def require_scores(model: ModelVersion, scores: Scores, rows: int) -> Scores:
    """Returns `scores`, read-only. Raises ScorerRefused unless they are `rows` finite numbers."""
    if scores.shape != (rows,):
        raise ScorerRefused(
            f"model {model.name} version {model.version} gave scores of shape {scores.shape} "
            f"for {rows} rows: the version is not one of Headrace's, train it again"
        )
    if not np.isfinite(scores).all():
        raise ScorerRefused(
            f"model {model.name} version {model.version} gave scores that are not finite "
            f"numbers: withdraw the version"
        )
    scores.flags.writeable = False
    return scores
