"""The scorer that holds the model in this process: the fallback, and the one for tests."""

from __future__ import annotations

import numpy as np

from inference.booster import Booster
from inference.errors import ScorerClosed
from inference.model import ModelVersion
from inference.repository import StoredModel
from inference.scorer import Matrix, Scores, require_matrix, require_scores


class LocalScores:
    """Scores that were there at once."""

    degraded: str | None = None

    def __init__(self, model: ModelVersion, scores: Scores, rows: int) -> None:
        self._model = model
        self._scores = scores
        self._rows = rows

    def result(self) -> Scores:
        """Returns float32 of shape (n,), read-only. Raises ScorerRefused for what is no number."""
        return require_scores(self._model, self._scores, self._rows)

    def cancel(self) -> None:
        """Does nothing: they are there."""


class LocalScorer:
    """Scores in process with the very bytes that Triton serves.

    Parameters
    ----------
    stored:
        The version, as the repository read and verified it.
    threads:
        How many threads one prediction may use; scores do not depend on it.
    """

    def __init__(self, stored: StoredModel, *, threads: int = 1) -> None:
        self._model = stored.metadata.model
        self._booster: Booster | None = Booster.load(stored.model, threads=threads)

    @property
    def model(self) -> ModelVersion:
        """The version that every score comes from."""
        return self._model

    def submit(self, matrix: Matrix) -> LocalScores:
        """Scores at once. Raises ModelMismatch or ScorerClosed."""
        require_matrix(self._model, matrix)
        if self._booster is None:
            raise ScorerClosed(f"the local scorer of {self._model.name} was closed")
        scores = self._booster.predict(matrix)
        return LocalScores(self._model, scores, len(matrix))

    def score(self, matrix: Matrix) -> Scores:
        """The scores of the rows, float32 of shape (n,)."""
        return self.submit(matrix).result()

    def warm(self) -> None:
        """Predicts one row, so that xgboost has set up what it sets up once."""
        self.score(np.zeros((1, self._model.columns), dtype=np.float32))

    def close(self) -> None:
        """Lets go of the model."""
        self._booster = None
