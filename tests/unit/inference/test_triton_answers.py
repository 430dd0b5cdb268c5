"""What the scorer makes of each answer that Triton can give."""

from __future__ import annotations

import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from inference.errors import ModelNotFound, ScorerError, ScorerRefused, ScorerUnavailable
from inference.triton.scorer import TritonScorer
from tests.adapters.models import random_rows
from tests.adapters.scorer import MODEL
from tests.adapters.triton_answers import TritonAnswers

ROWS = random_rows(8, seed=31)
DEADLINE_MS = 800
UNKNOWN = (grpc.StatusCode.NOT_FOUND, "Request for unknown model: 'fraud' is not found")
DEAD = (grpc.StatusCode.INTERNAL, "Stub process 'fraud_0_0' is not healthy.")


@pytest.fixture
def triton() -> Iterator[TritonAnswers]:
    triton = TritonAnswers()
    yield triton
    triton.close()


def _scorer(triton: TritonAnswers, *, load_missing: bool = True) -> TritonScorer:
    return TritonScorer(MODEL, triton.url, deadline_ms=DEADLINE_MS, load_missing=load_missing)


@pytest.mark.parametrize(
    ("code", "details", "error"),
    [
        (*UNKNOWN, ModelNotFound),
        (grpc.StatusCode.UNAVAILABLE, "model 'fraud' is not at ready state", ModelNotFound),
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", ScorerUnavailable),
        (*DEAD, ScorerUnavailable),
        (grpc.StatusCode.UNKNOWN, "", ScorerUnavailable),
        (grpc.StatusCode.INVALID_ARGUMENT, "unexpected shape", ScorerRefused),
        (grpc.StatusCode.UNAUTHENTICATED, "who are you", ScorerRefused),
        (grpc.StatusCode.RESOURCE_EXHAUSTED, "message too large", ScorerRefused),
    ],
)
def test_a_failed_call_becomes_the_error_that_says_what_to_do(
    triton: TritonAnswers, code: grpc.StatusCode, details: str, error: type[ScorerError]
) -> None:
    triton.fail = (code, details)
    with pytest.raises(error) as raised:
        _scorer(triton).score(ROWS)
    assert type(raised.value) is error
    for part in ("fraud", "version 3", triton.url, details):
        assert part in str(raised.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(triton: TritonAnswers, bad: float) -> None:
    triton.scores = lambda rows: np.array([0.5] * (rows - 1) + [bad], "<f4").tobytes()
    with pytest.raises(ScorerRefused, match="not finite"):
        _scorer(triton).score(ROWS)


def test_scores_of_other_rows_are_refused(triton: TritonAnswers) -> None:
    triton.scores = lambda rows: np.zeros(rows + 1, "<f4").tobytes()
    with pytest.raises(ScorerRefused, match="36 bytes"):
        _scorer(triton).score(ROWS)


def test_another_output_is_refused(triton: TritonAnswers) -> None:
    triton.output = "labels"
    with pytest.raises(ScorerRefused, match="output__0"):
        _scorer(triton).score(ROWS)


def test_a_slow_server_costs_the_deadline(triton: TritonAnswers) -> None:
    triton.delay_s = 5
    scorer = _scorer(triton)
    begun = time.perf_counter()
    with pytest.raises(ScorerUnavailable, match="deadline"):
        scorer.score(ROWS)
    assert time.perf_counter() - begun < 3


def _probed(scorer: TritonScorer) -> bool:
    probe = scorer.probe()
    probe.wait()
    return probe.ready()


def test_a_probe_asks_twice_of_a_healthy_server(triton: TritonAnswers) -> None:
    assert _probed(_scorer(triton))
    assert triton.calls == ["infer", "infer"]


def _mend(triton: TritonAnswers) -> None:
    triton.fail = None


@pytest.mark.parametrize(("failure", "repair"), [(UNKNOWN, ["load"]), (DEAD, ["unload", "load"])])
def test_a_probe_mends_what_loading_mends(
    triton: TritonAnswers, failure: tuple[grpc.StatusCode, str], repair: list[str]
) -> None:
    triton.fail = failure
    triton.loaded = lambda: _mend(triton)
    assert _probed(_scorer(triton))
    assert triton.calls == ["infer", *repair, "infer", "infer"]


@pytest.mark.parametrize("failure", [UNKNOWN, DEAD])
def test_a_probe_that_may_not_load_leaves_models_alone(
    triton: TritonAnswers, failure: tuple[grpc.StatusCode, str]
) -> None:
    triton.fail = failure
    assert not _probed(_scorer(triton, load_missing=False))
    assert triton.calls == ["infer"]


def test_a_probe_leaves_models_alone_that_loading_would_not_mend(triton: TritonAnswers) -> None:
    triton.fail = (grpc.StatusCode.UNAUTHENTICATED, "who are you")
    assert not _probed(_scorer(triton))
    assert triton.calls == ["infer"]


def test_a_server_that_answers_after_a_batchs_deadline_is_not_back(triton: TritonAnswers) -> None:
    triton.delay_s = DEADLINE_MS / 1000 * 2
    assert not _probed(_scorer(triton))


def test_a_probe_of_a_server_that_is_gone_ends(triton: TritonAnswers) -> None:
    scorer = _scorer(triton)
    triton.close()
    assert not _probed(scorer)


def test_a_call_under_way_ends_with_its_scorer(triton: TritonAnswers) -> None:
    triton.delay_s = 5
    scorer = _scorer(triton)
    pending = scorer.submit(ROWS)
    scorer.close()
    with pytest.raises(ScorerUnavailable):
        pending.result()
