"""A remote scorer whose answers a test decides, and a clock that it moves."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from inference.errors import InferenceError
from inference.model import ModelVersion
from inference.scorer import Matrix, Scores
from tests.adapters.models import FINGERPRINT, NAMES

MODEL = ModelVersion("fraud", 3, FINGERPRINT, NAMES, 0.5)


@dataclass
class Clock:
    """Seconds, moved by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


class FakeScores:
    """Answers with a constant, or with the error that its scorer has when it is asked."""

    degraded: str | None = None

    def __init__(self, scorer: FakeScorer, matrix: Matrix) -> None:
        self._scorer = scorer
        self.matrix = matrix.copy()
        self.waited = 0
        self.cancelled = False

    def result(self) -> Scores:
        self.waited += 1
        if self._scorer.error is not None:
            raise self._scorer.error
        return np.full(len(self.matrix), self._scorer.value, dtype=np.float32)

    def cancel(self) -> None:
        self.cancelled = True


@dataclass
class FakeProbe:
    """Is answered when the test sets `answer`."""

    answer: bool | None = None

    def done(self) -> bool:
        return self.answer is not None

    def ready(self) -> bool:
        return bool(self.answer)


@dataclass
class FakeScorer:
    """Remembers what it was asked."""

    value: float
    error: InferenceError | None = None
    model: ModelVersion = MODEL
    sent: list[FakeScores] = field(default_factory=list)
    probes: list[FakeProbe] = field(default_factory=list)
    closed: bool = False

    def submit(self, matrix: Matrix) -> FakeScores:
        self.sent.append(FakeScores(self, matrix))
        return self.sent[-1]

    def score(self, matrix: Matrix) -> Scores:
        return self.submit(matrix).result()

    def warm(self) -> None:
        self.score(np.zeros((1, self.model.columns), dtype=np.float32))

    def probe(self) -> FakeProbe:
        self.probes.append(FakeProbe())
        return self.probes[-1]

    def close(self) -> None:
        self.closed = True
