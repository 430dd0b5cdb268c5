"""What every store of the label join promises, over each adapter."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator

import numpy as np
import pytest

from featurizers.store.connection import RedisConnection
from online_learning.join_rows import LabelChange, PredictionRows, merge_label, pack_labels
from online_learning.join_store import (
    JoinStore,
    LabelReply,
    MemoryJoinStore,
    PredictionReply,
    Tally,
)
from streams.join_store import RedisJoinStore
from tests.unit.online_learning.batches import LabelRow, PredictionRow, labelled, scored

ROWS = PredictionRows(("a", "b"), ())


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Iterator[JoinStore]:
    if request.param == "memory":
        yield MemoryJoinStore()
        return
    url = request.getfixturevalue("valkey_url")
    connection = RedisConnection(url, connect_timeout_s=5, read_timeout_s=5)
    redis = RedisJoinStore(connection, uuid.uuid4().hex)
    redis.deploy_functions()
    yield redis
    connection.close()


def prediction(offset: int) -> bytes:
    return ROWS.pack(scored([PredictionRow("e", offset)]), np.zeros((1, 0)))[0]


def label(offset: int, value: float, known_at_ms: int = 1_000) -> bytes:
    return pack_labels(labelled([LabelRow("e", offset, value, known_at_ms)]))[0]


def kept(*labels: bytes) -> bytes:
    stored: bytes | None = None
    for new in labels:
        stored, _ = merge_label(stored, new)
    assert stored is not None
    return stored


def test_a_prediction_is_stored_once_and_its_first_copy_wins(store: JoinStore) -> None:
    first, second = prediction(0), prediction(1)
    assert list(store.add_predictions([5, 5], [b"e", b"e"], [first, second])) == [
        None,
        PredictionReply(first, None),
    ]
    assert list(store.add_predictions([5], [b"e"], [first])) == [PredictionReply(first, None)]


def test_a_waiting_label_comes_back_with_its_prediction(store: JoinStore) -> None:
    new, value = label(0, 1.0), prediction(3)
    assert list(store.add_labels([5], [b"e"], [new])) == [
        LabelReply(LabelChange.FIRST, kept(new), None)
    ]
    assert list(store.add_predictions([5], [b"e"], [value])) == [PredictionReply(value, kept(new))]


def test_only_news_comes_back_with_a_prediction(store: JoinStore) -> None:
    value = prediction(0)
    one, same, other, old = label(1, 1.0), label(2, 1.0), label(3, 0.0), label(0, 1.0, 900)
    store.add_predictions([5], [b"e"], [value])
    replies = store.add_labels([5] * 5, [b"e"] * 5, [one, same, one, other, old])
    assert list(replies) == [
        LabelReply(LabelChange.FIRST, kept(one), value),
        LabelReply(LabelChange.REPEATED, kept(one, same), None),
        LabelReply(LabelChange.AGAIN, kept(one, same), value),
        LabelReply(LabelChange.CORRECTED, kept(one, same, other), value),
        LabelReply(LabelChange.SUPERSEDED, kept(one, same, other), None),
    ]


def test_days_do_not_meet(store: JoinStore) -> None:
    store.add_predictions([5], [b"e"], [prediction(0)])
    (reply,) = store.add_labels([6], [b"e"], [label(0, 1.0)])
    assert reply.prediction is None
    assert store.tallies() == {5: Tally(1, 0, 0), 6: Tally(0, 1, 0)}


def test_a_dropped_day_is_tallied_and_forgotten(store: JoinStore) -> None:
    store.add_predictions([5, 5, 7], [b"e", b"f", b"g"], [prediction(i) for i in range(3)])
    store.add_labels([5, 5, 5], [b"e", b"e", b"h"], [label(0, 1.0), label(1, 0.0), label(2, 1.0)])
    assert store.drop([5, 6]) == {5: Tally(2, 2, 1)}
    assert store.drop([5]) == {}
    assert store.tallies() == {7: Tally(1, 0, 0)}
    assert list(store.add_predictions([5], [b"e"], [prediction(9)])) == [None]


def test_nothing_asked_is_nothing_done(store: JoinStore) -> None:
    assert list(store.add_predictions([], [], [])) == []
    assert list(store.add_labels([], [], [])) == []
    assert store.drop([]) == {}
    assert store.tallies() == {}


def test_ids_and_values_are_any_bytes(store: JoinStore) -> None:
    event, value = bytes(range(256)), bytes(reversed(range(256)))
    store.add_predictions([0], [event], [value])
    (reply,) = store.add_labels([0], [event], [label(2**40, 1e300, 2**50)])
    assert (reply.prediction, reply.label) == (value, kept(label(2**40, 1e300, 2**50)))


def test_random_calls_follow_the_rule(store: JoinStore) -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = random.Random(seed)
    held: dict[bytes, bytes] = {}
    labels: dict[bytes, bytes] = {}
    for offset in range(40):
        ids = [f"e{rng.randrange(6)}".encode() for _ in range(rng.randrange(1, 6))]
        if rng.random() < 0.4:
            values = [prediction(100 * offset + i) for i in range(len(ids))]
            for event, value, reply in zip(
                ids, values, store.add_predictions([1] * len(ids), ids, values), strict=True
            ):
                new = event not in held
                stored = held.setdefault(event, value)
                known = labels.get(event)
                assert reply == (None if new and known is None else PredictionReply(stored, known))
        else:
            told = [
                label(rng.randrange(300), rng.choice([0.0, 1.0]), rng.randrange(200, 300))
                for _ in ids
            ]
            replies = store.add_labels([1] * len(ids), ids, told)
            for event, new_label, answer in zip(ids, told, replies, strict=True):
                labels[event], change = merge_label(labels.get(event), new_label)
                news = change <= LabelChange.AGAIN
                assert answer == LabelReply(
                    change, labels[event], held.get(event) if news else None
                )
    joined = len(held.keys() & labels.keys())
    assert store.tallies() == {1: Tally(len(held), len(labels), joined)}
