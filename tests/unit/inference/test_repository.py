"""The model repository: whole versions only, verified, in Triton's layout."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from inference.errors import CorruptModel, ModelMismatch, RepositoryError, VersionNotFound
from inference.model import TrainedModel
from inference.repository import ModelRepository
from inference.triton.fil import fil_config
from tests.adapters.models import (
    CREATED_AT_MS,
    FINGERPRINT,
    NAMES,
    publish_named,
    repository_at,
    trained_model,
)


@pytest.fixture(scope="module")
def trained() -> TrainedModel:
    return trained_model(rounds=2)


@pytest.fixture
def repository(tmp_path: Path) -> ModelRepository:
    return repository_at(tmp_path / "models")


def test_a_published_version_is_read_back_whole(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    published = repository.publish(trained)
    stored = repository.read("fraud", 1)
    assert stored.metadata == published
    assert stored.model == trained.model
    assert (published.version, published.created_at_ms) == (1, CREATED_AT_MS)
    assert published.parameters == trained.spec.parameters
    assert published.model.columns == len(NAMES)


def test_versions_count_up_and_are_sorted_as_numbers(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    for _ in range(11):
        repository.publish(trained)
    assert repository.versions("fraud") == tuple(range(1, 12))
    assert repository.models() == ("fraud",)
    assert repository.versions("unknown") == ()


def test_nothing_but_whole_versions_is_left_behind(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    repository.publish(trained)
    repository.serve("fraud", [1])
    repository.set_champion("fraud", 1)
    folder = repository.root / "fraud"
    assert {path.name for path in folder.iterdir()} == {"1", "champion", "config.pbtxt"}
    assert {path.name for path in (folder / "1").iterdir()} == {
        "metadata.json",
        "model.ubj",
        "model.py",
        "__pycache__",
    }


def test_publishers_at_the_same_time_get_a_version_each(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    def publish() -> None:
        for _ in range(5):
            repository.publish(trained)

    threads = [threading.Thread(target=publish) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert repository.versions("fraud") == tuple(range(1, 21))
    assert all(repository.read("fraud", version) for version in range(1, 21))


def test_a_version_killed_half_way_is_no_version_and_its_number_is_not_reused(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    (repository.root / "fraud" / ".publishing-0").mkdir(parents=True)
    (repository.root / "fraud" / "4").mkdir()
    assert repository.versions("fraud") == ()
    assert repository.publish(trained).version == 5


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("damage", [_cut, _flip, lambda path: path.write_bytes(b"")])
def test_a_damaged_model_is_never_handed_out(
    repository: ModelRepository, trained: TrainedModel, damage: Callable[[Path], None]
) -> None:
    repository.publish(trained)
    damage(repository.root / "fraud" / "1" / "model.ubj")
    with pytest.raises(CorruptModel, match="sha256"):
        repository.read("fraud", 1)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("schema_version", 2, "format 2"),
        ("version", 9, "version 9"),
        ("rows", "many", "rows"),
        ("surprise", 1, "surprise"),
    ],
)
def test_metadata_that_is_not_understood_is_refused(
    repository: ModelRepository, trained: TrainedModel, key: str, value: object, said: str
) -> None:
    repository.publish(trained)
    path = repository.root / "fraud" / "1" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_bytes()), key: value}))
    with pytest.raises(CorruptModel, match=said):
        repository.metadata("fraud", 1)


def test_the_champion_is_chosen_among_versions_that_are_there(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    assert repository.champion("fraud") is None
    repository.publish(trained)
    with pytest.raises(VersionNotFound, match=r"there: 1"):
        repository.set_champion("fraud", 2)
    repository.set_champion("fraud", 1)
    assert repository.champion("fraud") == 1
    (repository.root / "fraud" / "champion").write_text("one")
    with pytest.raises(CorruptModel, match="one"):
        repository.champion("fraud")


def test_the_configuration_names_the_versions_to_serve(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    for _ in range(3):
        repository.publish(trained)
    repository.serve("fraud", [3, 1])
    text = (repository.root / "fraud" / "config.pbtxt").read_text()
    assert "versions: [ 1, 3 ]" in text
    assert 'backend: "python"' in text
    with pytest.raises(VersionNotFound):
        repository.serve("fraud", [4])
    with pytest.raises(RepositoryError):
        repository.serve("fraud", [])
    assert (repository.root / "fraud" / "config.pbtxt").read_text() == text


def test_a_gpu_deployment_gets_the_configuration_of_fil(
    tmp_path: Path, trained: TrainedModel
) -> None:
    repository = ModelRepository(tmp_path, wall_ms=lambda: 0, config=fil_config)
    repository.publish(trained)
    repository.serve("fraud", [1])
    text = (tmp_path / "fraud" / "config.pbtxt").read_text()
    assert 'backend: "fil"' in text
    assert "dims: [ 15 ]" in text
    assert 'value: { string_value: "xgboost_ubj" }' in text


@pytest.mark.parametrize("name", ["", "..", "a/b", "Fraud", "1", ".hidden"])
def test_a_name_cannot_lead_out_of_the_repository(repository: ModelRepository, name: str) -> None:
    with pytest.raises(RepositoryError, match="not a model name"):
        repository.versions(name)


def test_models_are_told_apart(repository: ModelRepository, trained: TrainedModel) -> None:
    repository.publish(trained)
    publish_named(repository, trained, "flights")
    assert repository.models() == ("flights", "fraud")
    assert repository.versions("flights") == (1,)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path, trained: TrainedModel) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(RepositoryError, match="cannot publish"):
        repository_at(tmp_path).publish(trained)


def test_a_root_that_is_a_file_is_named(tmp_path: Path, trained: TrainedModel) -> None:
    root = tmp_path / "models"
    root.write_text("")
    with pytest.raises(RepositoryError, match="cannot publish"):
        repository_at(root).publish(trained)


def test_a_model_is_never_given_the_features_of_another(
    repository: ModelRepository, trained: TrainedModel
) -> None:
    model = repository.publish(trained).model
    model.require_features(NAMES, FINGERPRINT)
    with pytest.raises(ModelMismatch, match="train a version"):
        model.require_features(NAMES, "another")
    with pytest.raises(ModelMismatch):
        model.require_features(NAMES[::-1], FINGERPRINT)
