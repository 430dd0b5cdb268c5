"""Progressive validation: the window holds exactly what it says, corrected and bounded."""

from __future__ import annotations

import random

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from online_learning.prequential import CHAMPION, MAX_POINTS, ModelMetrics, Prequential
from tests.unit.online_learning.batches import DAY_MS, START_MS, outcomes

HOUR_MS = 3_600_000


def prequential(max_rows: int = 10**6) -> Prequential:
    return Prequential(("river",), 2 * DAY_MS, 6 * HOUR_MS, 0.5, max_rows)


def by_name(models: list[ModelMetrics]) -> dict[str, ModelMetrics]:
    return {m.model: m for m in models}


def test_every_point_is_of_its_window_alone() -> None:
    seed = random.randrange(2**32)
    print("seed", seed)
    rng = np.random.default_rng(seed)
    n = 3000
    times = START_MS + np.sort(rng.integers(0, 5 * DAY_MS, n))
    positive = rng.random(n) < 0.2
    champion, river = rng.random(n) * 0.6 + 0.4 * positive, rng.random(n)
    watched = prequential()
    watched.predicted(np.r_[times, times])
    points = []
    for i in range(0, n, 100):
        rows = slice(i, i + 100)
        watched.add(
            outcomes(
                times_ms=times[rows].tolist(),
                positive=positive[rows].tolist(),
                scores=champion[rows].tolist(),
                shadow=river[rows, None].tolist(),
            )
        )
        points += watched.advance(int(times[min(i + 99, n - 1)]))
    assert len(points) == len(watched.history)
    assert len(points) >= 15
    arrived = [min(n, 100 * (1 + int(np.searchsorted(times, p.to_ms)) // 100)) for p in points]
    for point, known in zip(points, arrived, strict=True):
        inside = (times > point.to_ms - 2 * DAY_MS) & (times <= point.to_ms)
        inside[known:] = False
        assert point.rows == inside.sum()
        assert point.positives == positive[inside].sum()
        assert point.coverage == pytest.approx(0.5)
        for name, scores in ((CHAMPION, champion), ("river", river)):
            found = by_name(point.models)[name]
            assert found.auc == pytest.approx(roc_auc_score(positive[inside], scores[inside]))
            assert found.average_precision == pytest.approx(
                average_precision_score(positive[inside], scores[inside])
            )
            assert found.brier == pytest.approx(np.mean((scores - positive)[inside] ** 2))
            called = scores[inside] >= 0.5
            assert found.accuracy == pytest.approx(np.mean(called == positive[inside]))


def test_a_correction_takes_the_place_of_what_it_corrects() -> None:
    watched = prequential()
    times = [START_MS + i for i in range(4)]
    row = {"times_ms": times, "scores": [0.9, 0.8, 0.2, 0.1], "ids": list("abcd")}
    shadow = [[0.5]] * 4
    watched.add(outcomes(positive=[True, False, False, False], shadow=shadow, **row))  # type: ignore[arg-type]  # keywords
    watched.add(
        outcomes(
            times_ms=times[1:2],
            positive=[True],
            scores=[0.8],
            ids=["b"],
            revision=1,
            shadow=[[0.5]],
            delay_ms=9 * DAY_MS,
        )
    )
    window = watched.window(START_MS + DAY_MS)
    assert (window.rows, window.positives) == (4, 2)
    assert by_name(window.models)[CHAMPION].accuracy == 1.0
    assert window.mean_delay_ms == 3 * DAY_MS


def test_a_correction_in_the_same_batch_counts_once() -> None:
    watched = prequential()
    batch = outcomes(
        times_ms=[START_MS] * 2,
        positive=[False, True],
        scores=[0.9, 0.9],
        ids=["a", "a"],
        shadow=[[0.5]] * 2,
    )
    batch.revision[1] = 1
    watched.add(batch)
    window = watched.window(START_MS + 1)
    assert (window.rows, window.positives) == (1, 1)


def test_rows_that_a_learner_did_not_score_count_for_nobody() -> None:
    watched = prequential()
    watched.add(
        outcomes(
            times_ms=[START_MS, START_MS + 1],
            positive=[True, False],
            scores=[0.9, 0.1],
            shadow=[[float("nan")], [0.5]],
        )
    )
    assert watched.window(START_MS + DAY_MS).rows == 1


def test_memory_is_bounded_and_says_so() -> None:
    watched = prequential(max_rows=100)
    for i in range(40):
        times = [START_MS + 10 * i + j for j in range(10)]
        watched.add(
            outcomes(times_ms=times, positive=[False] * 10, scores=[0.1] * 10, shadow=[[0.1]] * 10)
        )
    watched.predicted(START_MS + np.arange(10**4, dtype=np.int64) * DAY_MS)
    window = watched.window(START_MS + 400)
    assert 75 <= window.rows <= 100
    assert window.truncated
    assert window.coverage is None
    assert len(watched._predicted) <= 4 * MAX_POINTS
