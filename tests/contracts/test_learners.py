"""What every learner promises, challengers and baselines alike."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from river import linear_model, optim, preprocessing
from sklearn.metrics import roc_auc_score

from online_learning.baselines import MajorityBaseline, NoChangeBaseline
from online_learning.batches import BoolArray, FloatArray
from online_learning.errors import SnapshotError
from online_learning.learners import Learner, LogisticLearner

NAMES = ("a", "b", "c")
MAKERS: list[Callable[[], Learner]] = [
    lambda: LogisticLearner(NAMES),
    MajorityBaseline,
    NoChangeBaseline,
]


@pytest.fixture(params=MAKERS, ids=lambda make: make().name)
def make(request: pytest.FixtureRequest) -> Callable[[], Learner]:
    found: Callable[[], Learner] = request.param
    return found


def examples(n: int, seed: int = 0) -> tuple[FloatArray, BoolArray]:
    rng = np.random.default_rng(seed)
    features = rng.normal([0, 50, 1000], [1, 20, 1], (n, 3))
    return features, rng.random(n) < 1 / (1 + np.exp(3 - 2 * features[:, 0]))


def test_scores_are_probabilities_and_scoring_teaches_nothing(make: Callable[[], Learner]) -> None:
    learner, (features, positive) = make(), examples(300)
    for n in (0, 300):
        learner.learn_many(features[:n], positive[:n])
        before = learner.snapshot()
        scores = learner.score_many(features)
        assert scores.shape == (300,)
        assert scores.dtype == np.float64
        assert ((scores >= 0) & (scores <= 1)).all()
        assert learner.snapshot() == before
    assert learner.score_many(features[:0]).shape == (0,)


def test_learning_in_pieces_is_learning_at_once(make: Callable[[], Learner]) -> None:
    features, positive = examples(300)
    whole, pieces = make(), make()
    whole.learn_many(features, positive)
    for i in range(0, 300, 7):
        pieces.learn_many(features[i : i + 7], positive[i : i + 7])
    assert whole.snapshot() == pieces.snapshot()


def test_a_restored_learner_continues_exactly(make: Callable[[], Learner]) -> None:
    features, positive = examples(400)
    for cut in (0, 200):
        one, other = make(), make()
        one.learn_many(features[:cut], positive[:cut])
        other.restore(one.snapshot())
        for learner in (one, other):
            learner.learn_many(features[cut:], positive[cut:])
        np.testing.assert_array_equal(one.score_many(features), other.score_many(features))
        assert one.snapshot() == other.snapshot()


def test_a_damaged_snapshot_is_refused(make: Callable[[], Learner]) -> None:
    for damaged in (b"", b"cos\nsystem\n(S'ls'\ntR.", b'{"examples": "many"}'):
        with pytest.raises(SnapshotError):
            make().restore(damaged)


def test_odd_numbers_are_scored_and_harm_nothing(make: Callable[[], Learner]) -> None:
    learner, (features, positive) = make(), examples(300)
    odd = features[:4].copy()
    odd[0, 0], odd[1, 1], odd[2, 2], odd[3] = np.nan, np.inf, -np.inf, 1e300
    for _ in range(2):
        assert np.isfinite(learner.score_many(odd)).all()
        learner.learn_many(odd[:3], positive[:3])
        learner.learn_many(features, positive)


def test_the_logistic_learner_scores_as_river_does_and_learns() -> None:
    features, positive = examples(3000)
    learner = LogisticLearner(NAMES)
    river = preprocessing.StandardScaler() | linear_model.LogisticRegression(
        optimizer=optim.SGD(0.01)
    )
    learner.learn_many(features[:2000], positive[:2000])
    for row, truth in zip(features[:2000].tolist(), positive[:2000].tolist(), strict=True):
        river.learn_one(dict(zip(NAMES, row, strict=True)), truth)
    scores = learner.score_many(features[2000:])
    rivers = [
        river.predict_proba_one(dict(zip(NAMES, row, strict=True)))[True]
        for row in features[2000:].tolist()
    ]
    np.testing.assert_allclose(scores, rivers, rtol=1e-12)
    assert roc_auc_score(positive[2000:], scores) > 0.85


def test_examples_that_are_not_finite_are_not_learned_from() -> None:
    features, positive = examples(100)
    clean, odd = LogisticLearner(NAMES), LogisticLearner(NAMES)
    clean.learn_many(features, positive)
    dirty = np.insert(features, 50, [np.nan, 1, 1], axis=0)
    odd.learn_many(dirty, np.insert(positive, 50, True))
    assert clean.snapshot() == odd.snapshot()


def test_a_snapshot_of_other_features_is_refused() -> None:
    with pytest.raises(SnapshotError, match="other features"):
        LogisticLearner(("x",)).restore(LogisticLearner(NAMES).snapshot())
