"""What every scorer promises: local, on Triton, and Triton with the local model behind it.

The reference is the model itself: every scorer must give its scores bit for bit.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from inference.booster import Booster
from inference.breaker import Breaker
from inference.errors import ModelMismatch, ScorerClosed
from inference.fallback import FallbackScorer
from inference.local import LocalScorer
from inference.repository import ModelRepository, StoredModel
from inference.scorer import Scorer
from inference.triton.control import ModelControl
from inference.triton.scorer import TritonScorer
from tests.adapters.models import (
    COLUMNS,
    publish_named,
    random_rows,
    repository_at,
    trained_model,
)

LOCAL = "local"
TRITON = pytest.param("triton", marks=pytest.mark.integration)
FALLBACK = pytest.param("fallback", marks=pytest.mark.integration)
DEADLINE_MS = 10_000


@dataclass
class Subject:
    """A scorer under test, and what its scores must be."""

    scorer: Scorer
    reference: Booster


@pytest.fixture(scope="module")
def local_model(tmp_path_factory: pytest.TempPathFactory) -> StoredModel:
    repository = repository_at(tmp_path_factory.mktemp("models"))
    repository.publish(trained_model())
    return repository.read("fraud", 1)


@pytest.fixture(scope="module")
def served_model(triton_url: str, triton_repository: Path) -> Iterator[StoredModel]:
    repository = ModelRepository(triton_repository, wall_ms=lambda: 0)
    name = f"contract-{uuid.uuid4().hex[:8]}"
    publish_named(repository, trained_model(), name)
    repository.serve(name, [1])
    control = ModelControl(triton_url)
    control.load(name)
    yield repository.read(name, 1)
    control.unload(name)
    control.close()


def _local(request: pytest.FixtureRequest) -> tuple[Scorer, StoredModel]:
    stored: StoredModel = request.getfixturevalue("local_model")
    return LocalScorer(stored), stored


def _triton(request: pytest.FixtureRequest) -> tuple[Scorer, StoredModel]:
    stored: StoredModel = request.getfixturevalue("served_model")
    url: str = request.getfixturevalue("triton_url")
    return TritonScorer(stored.metadata.model, url, deadline_ms=DEADLINE_MS), stored


def _fallback(request: pytest.FixtureRequest) -> tuple[Scorer, StoredModel]:
    stored: StoredModel = request.getfixturevalue("served_model")
    url: str = request.getfixturevalue("triton_url")
    remote = TritonScorer(stored.metadata.model, url, deadline_ms=DEADLINE_MS)
    return FallbackScorer(remote, LocalScorer(stored), Breaker("contract")), stored


MAKERS: dict[str, Callable[[pytest.FixtureRequest], tuple[Scorer, StoredModel]]] = {
    "local": _local,
    "triton": _triton,
    "fallback": _fallback,
}


@pytest.fixture(params=[LOCAL, TRITON, FALLBACK])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    scorer, stored = MAKERS[request.param](request)
    yield Subject(scorer, Booster.load(stored.model))
    scorer.close()


@pytest.mark.parametrize("rows", [0, 1, 2, 63, 256, 4_096])
def test_scores_are_the_models_bit_for_bit(subject: Subject, rows: int) -> None:
    matrix = random_rows(rows, seed=rows)
    matrix[::5, 3] = np.inf
    matrix[::7, 4] = -np.inf
    pending = subject.scorer.submit(matrix)
    scores = pending.result()
    assert scores.tobytes() == subject.reference.predict(matrix).tobytes()
    assert scores.dtype == np.float32
    assert scores.shape == (rows,)
    assert not scores.flags.writeable
    assert pending.degraded is None
    assert pending.result() is scores


def test_rows_need_not_lie_one_after_the_other(subject: Subject) -> None:
    matrix = np.asfortranarray(random_rows(128, seed=8))[::2]
    expected = subject.reference.predict(np.ascontiguousarray(matrix))
    assert subject.scorer.score(matrix).tobytes() == expected.tobytes()


def test_several_batches_may_be_under_way_and_awaited_in_any_order(subject: Subject) -> None:
    batches = [random_rows(rows, seed=rows) for rows in (300, 1, 40, 700)]
    pending = [subject.scorer.submit(batch) for batch in batches]
    for i in (2, 0, 3, 1):
        expected = subject.reference.predict(batches[i])
        assert pending[i].result().tobytes() == expected.tobytes()


def test_the_matrix_may_be_used_again_at_once(subject: Subject) -> None:
    matrix = random_rows(64, seed=9)
    expected = subject.reference.predict(matrix)
    pending = subject.scorer.submit(matrix)
    matrix[:] = 0
    assert pending.result().tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((4, COLUMNS - 1), dtype=np.float32),
        np.zeros((4, COLUMNS + 1), dtype=np.float32),
        np.zeros((0, COLUMNS - 1), dtype=np.float32),
        np.zeros(COLUMNS, dtype=np.float32),
        np.zeros((4, COLUMNS), dtype=np.float64),
    ],
    ids=["few columns", "many columns", "no rows, few columns", "one row flat", "float64"],
)
def test_a_matrix_of_another_shape_is_refused_before_it_is_sent(
    subject: Subject, matrix: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
) -> None:
    with pytest.raises(ModelMismatch, match=str(matrix.dtype)):
        subject.scorer.submit(matrix)


def test_a_batch_given_up_costs_its_neighbours_nothing(subject: Subject) -> None:
    matrix = random_rows(50, seed=10)
    given_up, kept = subject.scorer.submit(matrix), subject.scorer.submit(matrix)
    given_up.cancel()
    assert kept.result().tobytes() == subject.reference.predict(matrix).tobytes()


def test_warming_may_be_repeated(subject: Subject) -> None:
    subject.scorer.warm()
    subject.scorer.warm()


def test_a_closed_scorer_says_so(subject: Subject) -> None:
    subject.scorer.close()
    subject.scorer.close()
    with pytest.raises(ScorerClosed):
        subject.scorer.score(random_rows(1, seed=1))
