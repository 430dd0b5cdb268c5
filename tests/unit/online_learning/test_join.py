"""The label join against a naive account of what was predicted and what was said about it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from online_learning.batches import OutcomeBatch
from online_learning.errors import BatchError, JoinStoreUnavailable
from online_learning.join import LabelJoin
from online_learning.join_rows import PredictionRows
from online_learning.join_store import JoinStore, LabelReply, MemoryJoinStore
from tests.unit.online_learning.batches import (
    DAY_MS,
    START_MS,
    LabelRow,
    OutcomeRow,
    PredictionRow,
    labelled,
    outcome_rows,
    scored,
)

ROWS = PredictionRows(features=("a", "b"), learners=("river",))


def make_join(store: JoinStore | None = None, max_waiting: int = 10**6) -> LabelJoin:
    return LabelJoin(store or MemoryJoinStore(), ROWS, 10 * DAY_MS, max_waiting)


def predict(join: LabelJoin, *rows: PredictionRow, shadow: float = 0.5) -> list[OutcomeRow]:
    return outcome_rows(join.predictions(scored(rows), np.full((len(rows), 1), shadow)))


def tell(join: LabelJoin, *rows: LabelRow) -> list[OutcomeRow]:
    return outcome_rows(join.labels(labelled(rows)))


# -- the oracle -----------------------------------------------------------------------------------

EVENTS = [f"e{i}" for i in range(4)]
TIMES = {event: START_MS + i * DAY_MS // 2 for i, event in enumerate(EVENTS)}

predictions = st.lists(st.sampled_from(EVENTS), max_size=6)
labels = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.sampled_from([0.0, 1.0]), st.integers(0, 3)), max_size=8
)


@dataclass
class Topic:
    """Records in order, the position up to which they are acknowledged, and the read position."""

    rows: list[PredictionRow] | list[LabelRow]
    acked: int = 0
    read: int = 0


@dataclass
class World:
    """One consumer over a durable store, whose process may die between any two steps."""

    predictions: Topic
    labels: Topic
    store: MemoryJoinStore = field(default_factory=MemoryJoinStore)
    published: list[OutcomeRow] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.join = make_join(self.store)

    def step(self, action: str, size: int) -> None:
        if action == "crash":
            self.join = make_join(self.store)
            for topic in (self.predictions, self.labels):
                topic.read = topic.acked
            return
        topic = self.predictions if "predictions" in action else self.labels
        rows = topic.rows[topic.read : topic.read + size]
        found: Sequence[OutcomeRow]
        if topic is self.predictions:
            # The learner has moved on meanwhile: what was scored first must come out again.
            found = predict(self.join, *rows, shadow=len(self.published) / 10)
        else:
            found = tell(self.join, *rows)
        if action.startswith("lose"):
            return
        topic.read += len(rows)
        self.published += found
        topic.acked = topic.read


def newest(rows: Iterable[LabelRow]) -> dict[str, float]:
    """By event, the label known last; of labels known at one time, that of the last record."""
    best: dict[str, LabelRow] = {}
    for row in rows:
        held = best.get(row.id)
        if held is None or (row.known_at_ms, row.offset) > (held.known_at_ms, held.offset):
            best[row.id] = row
    return {event: row.label for event, row in best.items()}


def world(predicted: list[str], told: list[tuple[str, float, int]]) -> World:
    return World(
        Topic([PredictionRow(e, i, TIMES[e], 0.1 * (i + 1)) for i, e in enumerate(predicted)]),
        Topic(
            [
                LabelRow(e, i, label, START_MS + DAY_MS * days, TIMES[e])
                for i, (e, label, days) in enumerate(told)
            ]
        ),
    )


actions = st.lists(
    st.tuples(
        st.sampled_from(
            ["predictions", "labels", "lose predictions", "lose labels", "crash"],
        ),
        st.integers(1, 4),
    ),
    max_size=16,
)


@settings(max_examples=400, deadline=None)
@given(predicted=predictions, told=labels, steps=actions)
def test_every_interleaving_with_crashes_ends_at_the_truth(
    predicted: list[str], told: list[tuple[str, float, int]], steps: list[tuple[str, int]]
) -> None:
    it = world(predicted, told)
    for action, size in [*steps, ("predictions", 100), ("labels", 100)]:
        it.step(action, size)

    truth = newest(it.labels.rows)  # type: ignore[arg-type]  # these are the labels
    first = {e: 0.1 * (predicted.index(e) + 1) for e in predicted}
    final = {row.id: row for row in sorted(it.published, key=lambda r: r.revision)}
    assert {e: (r.label, r.score) for e, r in final.items()} == {
        e: (truth[e], first[e]) for e in first if e in truth
    }
    # Whatever is published twice is published equal.
    assert len({(r.id, r.revision) for r in it.published}) == len(set(it.published))


@settings(max_examples=200, deadline=None)
@given(predicted=predictions, told=labels, steps=actions)
def test_without_a_crash_each_outcome_is_published_and_counted_once(
    predicted: list[str], told: list[tuple[str, float, int]], steps: list[tuple[str, int]]
) -> None:
    it = world(predicted, told)
    for action, size in [*steps, ("predictions", 100), ("labels", 100)]:
        if action in ("predictions", "labels"):
            it.step(action, size)
    names = [(row.id, row.revision) for row in it.published]
    assert len(names) == len(set(names))
    counts = it.join.counts
    assert counts.predictions == len(predicted)
    assert counts.repeated_predictions == len(predicted) - len(set(predicted))
    assert counts.labels == len(told)
    assert counts.joined == len({e for e in predicted if e in {e for e, _, _ in told}})
    firsts = len({e for e, _, _ in told})
    changed = counts.corrected_labels + counts.repeated_labels + counts.superseded_labels
    assert firsts + changed == len(told)


# -- one case each --------------------------------------------------------------------------------


def test_records_read_again_give_the_same_outcome_and_are_not_fresh() -> None:
    join = make_join()
    predict(join, PredictionRow("e", 0))
    first = join.labels(labelled([LabelRow("e", 0), LabelRow("e", 1), LabelRow("x", 2)]))
    again = join.labels(labelled([LabelRow("e", 0), LabelRow("e", 1), LabelRow("x", 2)]))
    assert outcome_rows(again) == outcome_rows(first)
    assert (first.fresh.tolist(), again.fresh.tolist()) == ([True], [False])
    assert asdict(join.counts) | {"labels": 3, "joined": 1, "repeated_labels": 1} == asdict(
        join.counts
    )


def test_a_corrected_label_is_an_outcome_of_the_next_revision() -> None:
    join = make_join()
    predict(join, PredictionRow("e", 0))
    rows = [LabelRow("e", n, n % 2, START_MS + n) for n in range(3)]
    assert [(r.revision, r.label) for r in tell(join, *rows)] == [(0, 0), (1, 1), (2, 0)]
    assert (join.counts.joined, join.counts.corrected_labels) == (1, 2)


def test_an_older_label_that_comes_late_changes_nothing() -> None:
    join = make_join()
    predict(join, PredictionRow("e", 0))
    tell(join, LabelRow("e", 0, 1.0, START_MS + 9))
    assert tell(join, LabelRow("e", 1, 0.0, START_MS + 8)) == []
    assert join.counts.superseded_labels == 1


def test_a_label_waits_for_its_prediction() -> None:
    join = make_join()
    assert tell(join, LabelRow("e", 0, 0.0), LabelRow("e", 1, 1.0)) == []
    (outcome,) = predict(join, PredictionRow("e", 5, score=0.75), shadow=0.125)
    assert (outcome.label, outcome.score, outcome.shadow) == (1.0, 0.75, (0.125,))
    assert outcome.features == (7.5, 5.0)


def test_what_is_past_the_horizon_is_counted_and_gone() -> None:
    store = MemoryJoinStore()
    join = make_join(store)
    late = START_MS + 4 * DAY_MS
    predict(join, *(PredictionRow(e, i) for i, e in enumerate("abc")), PredictionRow("z", 3, late))
    tell(join, LabelRow("a", 0), LabelRow("orphan", 1), LabelRow("orphan2", 2))
    join.advance(START_MS + 11 * DAY_MS - 1)
    assert join.counts.unlabelled == 0
    join.advance(START_MS + 11 * DAY_MS)
    assert (join.counts.unlabelled, join.counts.orphans) == (2, 2)
    assert [t.predictions for t in store.tallies().values()] == [1]
    # A day that was dropped does not come back.
    assert tell(join, LabelRow("b", 9)) == []
    predict(join, PredictionRow("b", 9))
    assert (join.counts.expired_labels, join.counts.expired_predictions) == (1, 1)
    assert len(store.tallies()) == 1


def test_the_oldest_day_makes_room_when_too_many_wait() -> None:
    store = MemoryJoinStore()
    join = make_join(store, max_waiting=5)
    for day in range(3):
        rows = [PredictionRow(f"{day}-{i}", 3 * day + i, START_MS + day * DAY_MS) for i in range(3)]
        predict(join, *rows)
    join.advance(START_MS + 3 * DAY_MS)
    assert join.counts.evicted == 6
    assert sum(t.predictions for t in store.tallies().values()) == 3


class Flaky(MemoryJoinStore):
    """Does what it is asked, then says that it could not: the worst kind of failure."""

    failures = 1

    def add_labels(
        self, days: Sequence[int], ids: Sequence[bytes], labels: Sequence[bytes]
    ) -> list[LabelReply]:
        replies = super().add_labels(days, ids, labels)
        if self.failures:
            self.failures -= 1
            raise JoinStoreUnavailable("no answer")
        return replies


def test_a_call_that_failed_can_be_made_again() -> None:
    join = make_join(Flaky())
    predict(join, PredictionRow("e", 0))
    with pytest.raises(JoinStoreUnavailable):
        tell(join, LabelRow("e", 0))
    found: OutcomeBatch = join.labels(labelled([LabelRow("e", 0)]))
    assert found.fresh.tolist() == [True]
    assert (join.counts.labels, join.counts.joined) == (1, 1)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BatchError, match="shadow scores"):
        make_join().predictions(scored([PredictionRow("e", 0)]), np.zeros((1, 3)))
    with pytest.raises(BatchError, match="NaN"):
        labelled([LabelRow("e", 0, float("nan"))])
