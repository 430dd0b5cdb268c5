"""Baselines that need no features: what any learner must beat to be worth its cost."""

from __future__ import annotations

import msgspec
import numpy as np

from online_learning.batches import BoolArray, FloatArray
from online_learning.errors import SnapshotError


class _PriorState(msgspec.Struct, frozen=True):
    examples: int
    positives: int


class MajorityBaseline:
    """Scores every event with the share of positives among all labels known so far."""

    name = "majority"

    def __init__(self) -> None:
        self._state = _PriorState(examples=0, positives=0)

    def score_many(self, features: FloatArray) -> FloatArray:
        """See `Learner.score_many`. Before the first label the share is one half."""
        share = (self._state.positives + 1) / (self._state.examples + 2)
        return np.full(len(features), share)

    def learn_many(self, features: FloatArray, positive: BoolArray) -> None:
        """See `Learner.learn_many`."""
        self._state = _PriorState(
            examples=self._state.examples + len(features),
            positives=self._state.positives + int(positive.sum()),
        )

    def snapshot(self) -> bytes:
        """See `Learner.snapshot`."""
        return msgspec.json.encode(self._state)

    def restore(self, state: bytes) -> None:
        """See `Learner.restore`."""
        try:
            self._state = msgspec.json.decode(state, type=_PriorState)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"{self.name}: {error}") from error


class NoChangeBaseline:
    """Scores every event with the newest label known: 0 or 1."""

    name = "no_change"

    def __init__(self) -> None:
        self._last = False

    def score_many(self, features: FloatArray) -> FloatArray:
        """See `Learner.score_many`."""
        return np.full(len(features), float(self._last))

    def learn_many(self, features: FloatArray, positive: BoolArray) -> None:
        """See `Learner.learn_many`."""
        if len(features):
            self._last = bool(positive[-1])

    def snapshot(self) -> bytes:
        """See `Learner.snapshot`."""
        return msgspec.json.encode(self._last)

    def restore(self, state: bytes) -> None:
        """See `Learner.restore`."""
        try:
            self._last = msgspec.json.decode(state, type=bool)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"{self.name}: {error}") from error
