"""What the monitors take in and give out, as columns: one batch is one poll's worth of rows.

Row i of every column speaks of the same event. A position is the partition and offset of the
record that a row came from: it is what tells a record read again from a record sent again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from online_learning.errors import BatchError

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


class Positions(NamedTuple):
    """Where rows came from: partitions int64[n] and offsets int64[n] of one topic."""

    partitions: IntArray
    offsets: IntArray


@dataclass(frozen=True, slots=True)
class ScoredBatch:
    """n predictions, in the order in which they were read.

    Raises `BatchError` when the columns differ in length.

    Attributes
    ----------
    ids, keys:
        Each event's identity and its topic key.
    event_time_ms:
        int64[n].
    scores:
        float64[n], the champion's score in [0, 1].
    features:
        float64[n, f], in the order of the pipeline's feature set.
    model_version:
        int64[n].
    positions:
        Of the prediction records.
    """

    ids: Sequence[str]
    keys: Sequence[str]
    event_time_ms: IntArray
    scores: FloatArray
    features: FloatArray
    model_version: IntArray
    positions: Positions

    def __post_init__(self) -> None:
        if self.features.ndim != 2:
            raise BatchError(f"features have {self.features.ndim} dimensions, not 2")
        _same_length(
            ids=self.ids,
            keys=self.keys,
            event_time_ms=self.event_time_ms,
            scores=self.scores,
            features=self.features,
            model_version=self.model_version,
            partitions=self.positions.partitions,
            offsets=self.positions.offsets,
        )

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, rows: BoolArray) -> ScoredBatch:
        """The predictions where `rows` (bool[n]) is true."""
        if rows.all():
            return self
        chosen = np.flatnonzero(rows)
        return ScoredBatch(
            ids=[self.ids[i] for i in chosen.tolist()],
            keys=[self.keys[i] for i in chosen.tolist()],
            event_time_ms=self.event_time_ms[chosen],
            scores=self.scores[chosen],
            features=self.features[chosen],
            model_version=self.model_version[chosen],
            positions=Positions(self.positions.partitions[chosen], self.positions.offsets[chosen]),
        )


@dataclass(frozen=True, slots=True)
class LabelBatch:
    """n labels, in the order in which they were read.

    Raises `BatchError` when the columns differ in length.

    Attributes
    ----------
    ids, event_time_ms:
        Identity and event time (int64[n]) of the event each label speaks of.
    known_at_ms:
        int64[n], when the label became known. Of two labels for one event, the one known later
        holds; at equal times, the one at the greater position.
    labels:
        float64[n]; non-zero is positive. NaN is refused with `BatchError`.
    positions:
        Of the label records.
    """

    ids: Sequence[str]
    event_time_ms: IntArray
    known_at_ms: IntArray
    labels: FloatArray
    positions: Positions

    def __post_init__(self) -> None:
        _same_length(
            ids=self.ids,
            event_time_ms=self.event_time_ms,
            known_at_ms=self.known_at_ms,
            labels=self.labels,
            partitions=self.positions.partitions,
            offsets=self.positions.offsets,
        )
        if np.isnan(self.labels).any():
            raise BatchError("a label is NaN: refuse it where the record is decoded")

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True, slots=True)
class OutcomeBatch:
    """n predictions with the truth about them.

    The same outcome may be given again after a crash. Keep, per id, the highest `revision`; two
    outcomes of one id and revision are equal in every column but `fresh`.

    Attributes
    ----------
    labels, known_at_ms:
        The truth (float64[n]) and when it became known (int64[n]).
    revision:
        int64[n]: how often the label of this event had been corrected.
    shadow_scores:
        float64[n, m], one column a learner, as scored when the event was; NaN where it was not.
    fresh:
        bool[n]: the record that completed this outcome is read for the first time by this
        process. What counts or learns in memory counts fresh rows only; what is published
        publishes all.
    """

    ids: Sequence[str]
    keys: Sequence[str]
    event_time_ms: IntArray
    known_at_ms: IntArray
    labels: FloatArray
    revision: IntArray
    scores: FloatArray
    shadow_scores: FloatArray
    features: FloatArray
    model_version: IntArray
    fresh: BoolArray

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def delay_ms(self) -> IntArray:
        """int64[n]: from each event to the moment its label was known, in event time."""
        return self.known_at_ms - self.event_time_ms

    @property
    def positive(self) -> BoolArray:
        """bool[n]: the label is non-zero."""
        return np.not_equal(self.labels, 0.0)

    def take(self, rows: BoolArray) -> OutcomeBatch:
        """The outcomes where `rows` (bool[n]) is true."""
        if rows.all():
            return self
        chosen = np.flatnonzero(rows)
        return OutcomeBatch(
            ids=[self.ids[i] for i in chosen.tolist()],
            keys=[self.keys[i] for i in chosen.tolist()],
            event_time_ms=self.event_time_ms[chosen],
            known_at_ms=self.known_at_ms[chosen],
            labels=self.labels[chosen],
            revision=self.revision[chosen],
            scores=self.scores[chosen],
            shadow_scores=self.shadow_scores[chosen],
            features=self.features[chosen],
            model_version=self.model_version[chosen],
            fresh=self.fresh[chosen],
        )


def _same_length(**columns: Sequence[object] | NDArray[np.generic]) -> None:
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise BatchError(f"the columns of a batch differ in length: {lengths}")
