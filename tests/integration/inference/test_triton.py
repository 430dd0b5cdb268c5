"""Model control and scoring on a real Triton: versions side by side, and what can be refused."""

from __future__ import annotations

import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from inference.booster import Booster
from inference.errors import ModelNotFound, ScorerRefused, ScorerUnavailable
from inference.repository import ModelRepository
from inference.triton.control import ModelControl
from inference.triton.rollout import bring_into_service
from inference.triton.scorer import TritonScorer
from tests.adapters.models import publish_named, random_rows, trained_model
from tests.adapters.scorer import MODEL

pytestmark = pytest.mark.integration

ROWS = random_rows(256, seed=11)
DEADLINE_MS = 10_000


class Serving:
    """A model of the test's own in the repository of the session's Triton."""

    def __init__(self, url: str, root: Path) -> None:
        self.url = url
        self.name = f"served-{uuid.uuid4().hex[:8]}"
        self.repository = ModelRepository(root, wall_ms=lambda: 0)
        self.control = ModelControl(url)

    def publish(self, *, seed: int = 1, columns: int = 15) -> int:
        trained = trained_model(seed=seed, columns=columns)
        return publish_named(self.repository, trained, self.name).version

    def serve(self, *versions: int) -> None:
        self.repository.serve(self.name, versions)
        self.control.load(self.name)

    def scorer(self, version: int, *, load_missing: bool = False) -> TritonScorer:
        model = self.repository.metadata(self.name, version).model
        return TritonScorer(model, self.url, deadline_ms=DEADLINE_MS, load_missing=load_missing)

    def reference(self, version: int) -> Booster:
        return Booster.load(self.repository.read(self.name, version).model)


@pytest.fixture
def serving(triton_url: str, triton_repository: Path) -> Iterator[Serving]:
    serving = Serving(triton_url, triton_repository)
    yield serving
    if serving.control.ready_versions(serving.name):
        serving.control.unload(serving.name)
    serving.control.close()


def test_a_version_is_loaded_found_ready_and_unloaded(serving: Serving) -> None:
    serving.publish()
    assert serving.control.ready_versions(serving.name) == ()
    serving.serve(1)
    serving.control.wait_ready(serving.name, 1)
    assert serving.control.ready_versions(serving.name) == (1,)
    serving.control.unload(serving.name)
    with pytest.raises(ModelNotFound):
        serving.scorer(1).score(ROWS)


def test_two_versions_stand_side_by_side_and_each_scores_as_itself(serving: Serving) -> None:
    serving.publish(seed=1)
    serving.publish(seed=2, columns=9)
    serving.serve(1, 2)
    for version, rows in ((1, ROWS), (2, random_rows(256, seed=12, columns=9))):
        expected = serving.reference(version).predict(rows)
        assert serving.scorer(version).score(rows).tobytes() == expected.tobytes()


def test_the_serving_version_scores_on_while_others_come_and_go(serving: Serving) -> None:
    serving.publish(seed=1)
    serving.publish(seed=2)
    folder_before = _changes(serving, 1)
    serving.serve(1)
    expected = serving.reference(1).predict(ROWS).tobytes()
    done, slowest_s, scored = threading.Event(), 0.0, 0

    def change() -> None:
        serving.serve(1, 2)
        serving.control.wait_ready(serving.name, 2)
        serving.serve(1)
        done.set()

    scorer = serving.scorer(1)
    scorer.warm()
    changer = threading.Thread(target=change)
    changer.start()
    while not done.is_set():
        begun = time.perf_counter()
        assert scorer.score(ROWS).tobytes() == expected
        slowest_s = max(slowest_s, time.perf_counter() - begun)
        scored += 1
    changer.join()
    assert scored > 10
    assert slowest_s < 1.0, "the old version must not wait for the new one to be loaded"
    assert _changes(serving, 1) == folder_before, "loading a version must not change its folder"


def _changes(serving: Serving, version: int) -> dict[str, float]:
    folder = serving.repository.root / serving.name / str(version)
    return {path.name: path.stat().st_mtime for path in (folder, *folder.iterdir())}


def test_warming_loads_what_is_missing_where_it_may(serving: Serving) -> None:
    serving.publish()
    serving.repository.serve(serving.name, [1])
    with pytest.raises(ModelNotFound, match="load the model"):
        serving.scorer(1, load_missing=False).warm()
    scorer = serving.scorer(1, load_missing=True)
    scorer.warm()
    expected = serving.reference(1).predict(ROWS)
    assert scorer.score(ROWS).tobytes() == expected.tobytes()


def test_a_damaged_model_is_refused_with_the_reason_and_the_old_version_stays(
    serving: Serving,
) -> None:
    serving.publish(seed=1)
    serving.publish(seed=2)
    serving.serve(1)
    model_file = serving.repository.root / serving.name / "2" / "model.ubj"
    model_file.write_bytes(model_file.read_bytes()[:-7])
    with pytest.raises((ScorerRefused, ScorerUnavailable), match="sha256"):
        serving.serve(1, 2)
    expected = serving.reference(1).predict(ROWS)
    assert serving.scorer(1).score(ROWS).tobytes() == expected.tobytes()


def test_a_rollout_brings_a_version_warm_into_service_and_takes_the_old_one_out(
    serving: Serving,
) -> None:
    serving.publish(seed=1)
    serving.publish(seed=2)
    bring_into_service(serving.repository, serving.control, serving.name, 1)
    bring_into_service(serving.repository, serving.control, serving.name, 2, beside=[1])
    assert serving.control.ready_versions(serving.name) == (1, 2)
    bring_into_service(serving.repository, serving.control, serving.name, 2)
    expected = serving.reference(2).predict(ROWS)
    assert serving.scorer(2).score(ROWS).tobytes() == expected.tobytes()
    with pytest.raises(ModelNotFound):
        serving.scorer(1).score(ROWS)


def test_a_rollout_that_fails_leaves_what_was_served(serving: Serving) -> None:
    serving.publish(seed=1)
    serving.publish(seed=2)
    bring_into_service(serving.repository, serving.control, serving.name, 1)
    backend = serving.repository.root / serving.name / "2" / "model.py"
    backend.write_text("raise RuntimeError('broken on purpose')")
    with pytest.raises((ScorerRefused, ScorerUnavailable), match="broken on purpose"):
        bring_into_service(serving.repository, serving.control, serving.name, 2, beside=[1])
    serving.control.unload(serving.name)
    serving.control.load(serving.name)
    serving.control.wait_ready(serving.name, 1)
    assert serving.control.ready_versions(serving.name) == (1,)


def test_a_model_that_is_not_in_the_repository_cannot_be_loaded(serving: Serving) -> None:
    with pytest.raises((ScorerRefused, ScorerUnavailable), match=serving.name):
        serving.control.load(serving.name)


def test_rows_that_the_version_does_not_take_are_refused_by_triton_too(serving: Serving) -> None:
    serving.publish(columns=9)
    serving.serve(1)
    model = serving.repository.metadata(serving.name, 1).model
    liar = replace(model, feature_names=MODEL.feature_names)
    with pytest.raises(ScorerRefused, match="takes 9"):
        TritonScorer(liar, serving.url, deadline_ms=DEADLINE_MS).score(ROWS)


def test_a_server_that_is_not_there_is_unavailable_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"127.0.0.1:{unused.getsockname()[1]}"
        begun = time.perf_counter()
        with pytest.raises(ScorerUnavailable, match=url):
            TritonScorer(MODEL, url, deadline_ms=5_000).score(ROWS)
        assert time.perf_counter() - begun < 4.0
        with pytest.raises(ScorerUnavailable, match=url):
            ModelControl(url, deadline_ms=500).load("fraud")
