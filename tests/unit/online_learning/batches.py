"""Batches for the tests: rows as small tuples, columns as the packages want them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from online_learning.batches import LabelBatch, OutcomeBatch, Positions, ScoredBatch

DAY_MS = 86_400_000
START_MS = 1_690_000_000_000 // DAY_MS * DAY_MS
N_FEATURES = 2


class PredictionRow(NamedTuple):
    id: str
    offset: int
    time_ms: int = START_MS
    score: float = 0.25
    partition: int = 0
    key: str = "k"
    version: int = 1


class LabelRow(NamedTuple):
    id: str
    offset: int
    label: float = 1.0
    known_at_ms: int = START_MS + DAY_MS
    time_ms: int = START_MS
    partition: int = 0


def _integers(values: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    return np.array(values, dtype=np.int64)


def scored(rows: Sequence[PredictionRow]) -> ScoredBatch:
    return ScoredBatch(
        ids=[r.id for r in rows],
        keys=[r.key for r in rows],
        event_time_ms=_integers([r.time_ms for r in rows]),
        scores=np.array([r.score for r in rows], dtype=np.float64),
        features=np.array([[r.score * 10, r.offset] for r in rows], dtype=np.float64).reshape(
            len(rows), N_FEATURES
        ),
        model_version=_integers([r.version for r in rows]),
        positions=Positions(
            _integers([r.partition for r in rows]), _integers([r.offset for r in rows])
        ),
    )


def labelled(rows: Sequence[LabelRow]) -> LabelBatch:
    return LabelBatch(
        ids=[r.id for r in rows],
        event_time_ms=_integers([r.time_ms for r in rows]),
        known_at_ms=_integers([r.known_at_ms for r in rows]),
        labels=np.array([r.label for r in rows], dtype=np.float64),
        positions=Positions(
            _integers([r.partition for r in rows]), _integers([r.offset for r in rows])
        ),
    )


class OutcomeRow(NamedTuple):
    """An outcome without `fresh`, which speaks of the process and not of the event."""

    id: str
    revision: int
    label: float
    key: str
    time_ms: int
    known_at_ms: int
    score: float
    shadow: tuple[float, ...]
    features: tuple[float, ...]
    version: int


def outcome_rows(batch: OutcomeBatch) -> list[OutcomeRow]:
    return [
        OutcomeRow(
            batch.ids[i],
            int(batch.revision[i]),
            float(batch.labels[i]),
            batch.keys[i],
            int(batch.event_time_ms[i]),
            int(batch.known_at_ms[i]),
            float(batch.scores[i]),
            tuple(batch.shadow_scores[i].tolist()),
            tuple(batch.features[i].tolist()),
            int(batch.model_version[i]),
        )
        for i in range(len(batch))
    ]


def outcomes(
    *,
    times_ms: Sequence[int],
    positive: Sequence[bool],
    scores: Sequence[float],
    ids: Sequence[str] | None = None,
    revision: int = 0,
    shadow: Sequence[Sequence[float]] | None = None,
    delay_ms: int = DAY_MS,
) -> OutcomeBatch:
    n = len(times_ms)
    times = _integers(times_ms)
    return OutcomeBatch(
        ids=list(ids) if ids is not None else [f"e{t}-{i}" for i, t in enumerate(times_ms)],
        keys=[f"k{i % 3}" for i in range(n)],
        event_time_ms=times,
        known_at_ms=times + delay_ms,
        labels=np.array(positive, dtype=np.float64),
        revision=np.full(n, revision, dtype=np.int64),
        scores=np.array(scores, dtype=np.float64),
        shadow_scores=np.array(shadow, dtype=np.float64) if shadow else np.zeros((n, 0)),
        features=np.zeros((n, N_FEATURES)),
        model_version=np.ones(n, dtype=np.int64),
        fresh=np.ones(n, dtype=np.bool_),
    )
