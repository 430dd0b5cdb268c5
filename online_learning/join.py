"""The label join: predictions and labels matched by event, in whatever order they come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from online_learning.batches import (
    BoolArray,
    FloatArray,
    IntArray,
    LabelBatch,
    OutcomeBatch,
    ScoredBatch,
)
from online_learning.errors import BatchError
from online_learning.event_time import Progress
from online_learning.join_rows import (
    POSITION_BYTES,
    LabelChange,
    PredictionRows,
    pack_labels,
    unpack_labels,
)
from online_learning.join_store import JoinStore, Tally
from online_learning.spec import DAY_MS

CHECK_EVERY_BATCHES = 256


@dataclass(slots=True)
class JoinCounts:
    """What the join saw since this process started; records read again are not counted again."""

    predictions: int = 0
    repeated_predictions: int = 0
    labels: int = 0
    joined: int = 0
    corrected_labels: int = 0
    repeated_labels: int = 0
    superseded_labels: int = 0
    expired_predictions: int = 0
    """Came when their day was already past the horizon."""
    expired_labels: int = 0
    unlabelled: int = 0
    """Predictions without a label at the horizon."""
    orphans: int = 0
    """Labels without a prediction at the horizon."""
    evicted: int = 0
    """Predictions and labels given up before the horizon because too many waited."""


@dataclass(slots=True)
class LabelJoin:
    """Joins predictions with labels; all that must survive a crash is in `store`.

    A record read again after a crash gives the same outcome again and is counted once. Predictions
    of an event after its first, and labels that say nothing new, change nothing and are counted.

    Attributes
    ----------
    horizon_ms:
        Event time that a prediction or label waits. Days that ended longer ago are dropped whole.
    max_waiting:
        Predictions and labels held; beyond it the oldest day is given up.
    """

    store: JoinStore
    rows: PredictionRows
    horizon_ms: int
    max_waiting: int
    counts: JoinCounts = field(default_factory=JoinCounts)
    _predictions_read: Progress = field(default_factory=Progress)
    _labels_read: Progress = field(default_factory=Progress)
    _first_day: int | None = None
    _unchecked_batches: int = 0

    def predictions(self, batch: ScoredBatch, shadow_scores: FloatArray) -> OutcomeBatch:
        """Store predictions; the outcomes of those whose label was already waiting.

        `shadow_scores` (float64[n, m]) are the learners' scores of the same events, now.
        """
        if shadow_scores.shape != (len(batch), len(self.rows.learners)):
            raise BatchError(f"shadow scores have shape {shadow_scores.shape}")
        days, inside = self._days(batch.event_time_ms)
        values = self.rows.pack(batch, shadow_scores)
        chosen = np.flatnonzero(inside).tolist()
        replies = self.store.add_predictions(
            days[inside].tolist(),
            [batch.ids[i].encode() for i in chosen],
            [values[i] for i in chosen],
        )
        fresh = self._predictions_read.fresh(batch.positions)
        rows: list[int] = []
        stored: list[bytes] = []
        labels: list[bytes] = []
        repeated = np.zeros(len(batch), dtype=np.bool_)
        for i, reply in zip(chosen, replies, strict=True):
            if reply is None:
                continue
            if reply.prediction[:POSITION_BYTES] != values[i][:POSITION_BYTES]:
                repeated[i] = True
            elif reply.label is not None:
                rows.append(i)
                stored.append(reply.prediction)
                labels.append(reply.label)
        self.counts.predictions += int(fresh.sum())
        self.counts.repeated_predictions += int((fresh & repeated).sum())
        self.counts.expired_predictions += int((fresh & ~inside).sum())
        self.counts.joined += int(fresh[rows].sum())
        return self._outcomes([batch.ids[i] for i in rows], stored, labels, fresh[rows])

    def labels(self, batch: LabelBatch) -> OutcomeBatch:
        """Store labels; the outcomes of those whose prediction is known and that are news."""
        days, inside = self._days(batch.event_time_ms)
        packed = pack_labels(batch)
        chosen = np.flatnonzero(inside).tolist()
        replies = self.store.add_labels(
            days[inside].tolist(),
            [batch.ids[i].encode() for i in chosen],
            [packed[i] for i in chosen],
        )
        fresh = self._labels_read.fresh(batch.positions)
        changes = np.full(len(batch), -1)
        rows: list[int] = []
        stored: list[bytes] = []
        labels: list[bytes] = []
        for i, reply in zip(chosen, replies, strict=True):
            changes[i] = reply.change
            if reply.prediction is not None:
                rows.append(i)
                stored.append(reply.prediction)
                labels.append(reply.label)
        self._count_labels(changes[fresh])
        self.counts.joined += int((fresh & (changes != LabelChange.CORRECTED))[rows].sum())
        return self._outcomes([batch.ids[i] for i in rows], stored, labels, fresh[rows])

    def advance(self, now_ms: int | None) -> None:
        """Drop what is past the horizon at event time `now_ms`. Call it after every batch."""
        self._unchecked_batches += 1
        first_day = self._first_day
        if now_ms is not None:
            first_day = max((now_ms - self.horizon_ms) // DAY_MS, first_day or 0)
        if first_day == self._first_day and self._unchecked_batches < CHECK_EVERY_BATCHES:
            return
        held = dict(self.store.tallies())
        past = [day for day in held if first_day is not None and day < first_day]
        for tally in self.store.drop(past).values():
            self.counts.unlabelled += tally.predictions - tally.joined
            self.counts.orphans += tally.labels - tally.joined
        self._evict({day: tally for day, tally in held.items() if day not in past})
        self._first_day = first_day
        self._unchecked_batches = 0

    def _evict(self, held: dict[int, Tally]) -> None:
        waiting = sum(tally.predictions + tally.labels for tally in held.values())
        for day in sorted(held):
            if waiting <= self.max_waiting:
                return
            for tally in self.store.drop([day]).values():
                self.counts.evicted += tally.predictions + tally.labels - 2 * tally.joined
                waiting -= tally.predictions + tally.labels

    def _days(self, times_ms: IntArray) -> tuple[IntArray, BoolArray]:
        days = times_ms // DAY_MS
        if self._first_day is None:
            return days, np.ones(len(days), dtype=np.bool_)
        return days, days >= self._first_day

    def _count_labels(self, changes: IntArray) -> None:
        counts = self.counts
        counts.labels += len(changes)
        counts.expired_labels += int((changes == -1).sum())
        counts.corrected_labels += int((changes == LabelChange.CORRECTED).sum())
        counts.repeated_labels += int((changes == LabelChange.REPEATED).sum())
        counts.superseded_labels += int((changes == LabelChange.SUPERSEDED).sum())

    def _outcomes(
        self, ids: list[str], stored: Sequence[bytes], labels: Sequence[bytes], fresh: BoolArray
    ) -> OutcomeBatch:
        predictions = self.rows.unpack(stored)
        values, revision, known_at_ms = unpack_labels(labels)
        return OutcomeBatch(
            ids=ids,
            keys=predictions.keys,
            event_time_ms=predictions.event_time_ms,
            known_at_ms=known_at_ms,
            labels=values,
            revision=revision,
            scores=predictions.scores,
            shadow_scores=predictions.shadow_scores,
            features=predictions.features,
            model_version=predictions.model_version,
            fresh=fresh,
        )
