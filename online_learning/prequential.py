"""Progressive validation: how good the scores were, once the truth about them is known.

Every score is the one given when the event was, so no model is ever judged on what it had already
learned from; champion, challengers and baselines are judged on the same rows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

import msgspec
import numpy as np

from online_learning.batches import BoolArray, FloatArray, IntArray, OutcomeBatch
from online_learning.metrics import (
    average_precision,
    log_losses,
    mean_interval,
    rank,
    roc_auc,
)

CHAMPION = "champion"
MAX_ROWS = 250_000
MAX_POINTS = 512


class ModelMetrics(msgspec.Struct, frozen=True):
    """How one model did on a window's rows. A figure that the rows cannot give is None."""

    model: str
    auc: float | None
    auc_low: float | None
    auc_high: float | None
    average_precision: float | None
    log_loss: float
    log_loss_low: float
    log_loss_high: float
    brier: float
    accuracy: float
    precision: float | None
    recall: float | None


class WindowMetrics(msgspec.Struct, frozen=True):
    """All models on the rows of one event-time window `(from_ms, to_ms]`.

    `coverage` is the share of the window's predictions whose label is known. `truncated` says that
    more outcomes fell into the window than are held: the figures are of the newest, and there is
    no coverage.
    """

    from_ms: int
    to_ms: int
    rows: int
    positives: int
    coverage: float | None
    mean_delay_ms: float
    truncated: bool
    models: list[ModelMetrics]


class Prequential:
    """A sliding event-time window of outcomes and the metrics over it.

    Attributes
    ----------
    models:
        The learners' names; the champion comes before them.
    window_ms, step_ms:
        Length of the window; a point of `history` is taken whenever event time passes a multiple
        of `step_ms`.
    threshold:
        A score of at least this much is decided as positive.
    max_rows:
        Rows held; the oldest go first.
    """

    def __init__(
        self,
        models: Sequence[str],
        window_ms: int,
        step_ms: int,
        threshold: float,
        max_rows: int = MAX_ROWS,
    ) -> None:
        self._models = (CHAMPION, *models)
        self._window_ms = window_ms
        self._step_ms = step_ms
        self._threshold = threshold
        self._table = _Table(len(self._models), max_rows)
        self._predicted: dict[int, int] = {}
        self._steps_done: int | None = None
        self.history: deque[WindowMetrics] = deque(maxlen=MAX_POINTS)

    def predicted(self, times_ms: IntArray) -> None:
        """Count predictions (event times int64[n]), for the coverage."""
        steps, counts = np.unique(-(-times_ms // self._step_ms), return_counts=True)
        for step, count in zip(steps.tolist(), counts.tolist(), strict=True):
            self._predicted[step] = self._predicted.get(step, 0) + count
        limit = 4 * MAX_POINTS
        if len(self._predicted) > limit:
            kept = sorted(self._predicted)[-limit // 2 :]
            self._predicted = {step: self._predicted[step] for step in kept}

    def add(self, outcomes: OutcomeBatch) -> None:
        """Take in outcomes; one of a higher revision takes the place of its predecessor."""
        scores = np.column_stack([outcomes.scores, outcomes.shadow_scores])
        self._table.put(outcomes, scores)

    def advance(self, now_ms: int) -> list[WindowMetrics]:
        """Take a point of the time series if event time `now_ms` has passed the next step."""
        step = now_ms // self._step_ms
        if self._steps_done is None:
            self._steps_done = step
        if step <= self._steps_done:
            return []
        self._steps_done = step
        point = self.window(step * self._step_ms)
        self._table.forget(point.from_ms)
        oldest = point.from_ms // self._step_ms
        self._predicted = {s: n for s, n in self._predicted.items() if s >= oldest}
        if point.rows:
            self.history.append(point)
        return [point] if point.rows else []

    def window(self, to_ms: int) -> WindowMetrics:
        """The metrics over `(to_ms - window_ms, to_ms]`, now."""
        table = self._table
        from_ms = to_ms - self._window_ms
        truncated = table.gone_ms is not None and table.gone_ms > from_ms
        inside = (table.times_ms > from_ms) & (table.times_ms <= to_ms)
        scores = table.scores[inside]
        usable = np.isfinite(scores).all(axis=1)
        positive, scores = table.positive[inside][usable], scores[usable]
        delays = table.delay_ms[inside]
        return WindowMetrics(
            from_ms=from_ms,
            to_ms=to_ms,
            rows=len(positive),
            positives=int(positive.sum()),
            coverage=None if truncated else self._coverage(int(inside.sum()), from_ms, to_ms),
            mean_delay_ms=float(delays.mean()) if len(delays) else 0.0,
            truncated=truncated,
            models=[
                model_metrics(name, positive, scores[:, i], self._threshold)
                for i, name in enumerate(self._models)
                if len(positive)
            ],
        )

    def _coverage(self, labelled: int, from_ms: int, to_ms: int) -> float | None:
        def within(step: int) -> float:
            # Steps are half open like the window; one at its edge counts by its share.
            begin, end = (step - 1) * self._step_ms, step * self._step_ms
            return max(0, min(end, to_ms) - max(begin, from_ms)) / self._step_ms

        predicted = sum(n * within(step) for step, n in self._predicted.items())
        return min(1.0, labelled / predicted) if predicted else None


def model_metrics(
    name: str, positive: BoolArray, scores: FloatArray, threshold: float
) -> ModelMetrics:
    """One model's figures on n > 0 rows: truths bool[n], scores float64[n] in [0, 1]."""
    ranking = rank(positive, scores)
    auc = roc_auc(ranking)
    loss = mean_interval(log_losses(positive, scores))
    called = scores >= threshold
    hits = int((called & positive).sum())
    n_called, n_positive = int(called.sum()), int(positive.sum())
    return ModelMetrics(
        model=name,
        auc=auc.value if auc else None,
        auc_low=auc.low if auc else None,
        auc_high=auc.high if auc else None,
        average_precision=average_precision(ranking),
        log_loss=loss.value if loss else 0.0,
        log_loss_low=loss.low if loss else 0.0,
        log_loss_high=loss.high if loss else 0.0,
        brier=float(np.mean((scores - positive) ** 2)),
        accuracy=float(np.mean(called == positive)),
        precision=hits / n_called if n_called else None,
        recall=hits / n_positive if n_positive else None,
    )


class _Table:
    """Rows in the order they came, as growing columns; corrected in place, forgotten in bulk."""

    def __init__(self, n_models: int, max_rows: int) -> None:
        self._n_models = n_models
        self._max_rows = max_rows
        self._n = 0
        self._ids: list[str] = []
        self._row_of: dict[str, int] | None = None
        self.gone_ms: int | None = None
        self._columns = self._empty(1024)

    def _empty(self, rows: int) -> tuple[IntArray, IntArray, BoolArray, FloatArray]:
        return (
            np.zeros(rows, dtype=np.int64),
            np.zeros(rows, dtype=np.int64),
            np.zeros(rows, dtype=np.bool_),
            np.zeros((rows, self._n_models)),
        )

    @property
    def times_ms(self) -> IntArray:
        return self._columns[0][: self._n]

    @property
    def delay_ms(self) -> IntArray:
        return self._columns[1][: self._n]

    @property
    def positive(self) -> BoolArray:
        return self._columns[2][: self._n]

    @property
    def scores(self) -> FloatArray:
        return self._columns[3][: self._n]

    def put(self, outcomes: OutcomeBatch, scores: FloatArray) -> None:
        new = self._correct(outcomes)
        batch = outcomes.take(new)
        end = self._n + len(batch)
        self._reserve(end)
        rows = slice(self._n, end)
        for column, values in zip(
            self._columns,
            (batch.event_time_ms, batch.delay_ms, batch.positive, scores[new]),
            strict=True,
        ):
            column[rows] = values
        if self._row_of is not None:
            self._row_of.update(zip(batch.ids, range(self._n, end), strict=True))
        self._ids.extend(batch.ids)
        self._n = end
        if self._n > self._max_rows:
            surplus = self._n - self._max_rows * 3 // 4
            self.gone_ms = int(np.median(self.times_ms[:surplus]))
            self._keep(np.arange(surplus, self._n))

    def forget(self, up_to_ms: int) -> None:
        """Drop rows of event times up to `up_to_ms`."""
        kept = np.flatnonzero(self.times_ms > up_to_ms)
        if len(kept) < self._n:
            self._keep(kept)

    def _keep(self, rows: IntArray) -> None:
        for column in self._columns:
            column[: len(rows)] = column[rows]
        self._ids = [self._ids[i] for i in rows.tolist()]
        self._n = len(rows)
        self._row_of = None

    def _correct(self, outcomes: OutcomeBatch) -> BoolArray:
        """Set the labels of rows already here; bool[n]: the outcomes that are not."""
        new = np.ones(len(outcomes), dtype=np.bool_)
        corrected = np.flatnonzero(outcomes.revision > 0).tolist()
        if not corrected:
            return new
        if self._row_of is None:
            self._row_of = {event: row for row, event in enumerate(self._ids)}
        last = {event: i for i, event in enumerate(outcomes.ids)}
        for i in corrected:
            event = outcomes.ids[i]
            row = self._row_of.get(event)
            if row is not None:
                self.delay_ms[row] = outcomes.delay_ms[i]
                self.positive[row] = outcomes.positive[i]
                new[i] = False
        for i, event in enumerate(outcomes.ids):
            new[i] &= last[event] == i
        return new

    def _reserve(self, rows: int) -> None:
        size = len(self._columns[0])
        if rows > size:
            old = self._columns
            self._columns = self._empty(max(rows, 2 * size))
            for column, values in zip(self._columns, old, strict=True):
                column[: self._n] = values[: self._n]
