"""The model repository: a folder in Triton's layout that also says what each model is.

    <root>/<model>/config.pbtxt               what Triton serves of it
                  /champion                   the version that decides, as decimal digits
                  /<version>/metadata.json    what the version is (`ModelMetadata`)
                            /model.ubj        the model, xgboost's UBJSON
                            /model.py         how Triton's Python backend runs it
                            /__pycache__      an empty file, so that loading changes nothing

A version never changes once it is there. Every file comes into being by a rename, so a reader
sees all of it or nothing, also after a kill.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.errors import CorruptModel, RepositoryError, VersionNotFound
from inference.model import (
    ModelMetadata,
    ModelVersion,
    TrainedModel,
    decode_metadata,
    encode_metadata,
)
from inference.triton.config import backend_source, python_config

CONFIG = "config.pbtxt"
CHAMPION = "champion"
METADATA = "metadata.json"
MODEL = "model.ubj"
BACKEND = "model.py"
# A file where Python would make a folder. With bytecode in it the version's folder would change
# when it is first loaded, and Triton would load it again with every further version.
BYTECODE = "__pycache__"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_PUBLISH_ATTEMPTS = 100


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A version as it was read: what it is, and its bytes, whose checksum was right."""

    metadata: ModelMetadata
    model: bytes


class ModelRepository:
    """Model versions under one folder, shared with Triton.

    Parameters
    ----------
    root:
        Made at the first publication.
    wall_ms:
        The wall clock, milliseconds since the epoch.
    config:
        Makes `config.pbtxt` from a version and the versions to serve: `python_config`, or
        `fil_config` where Triton runs trees on a GPU.
    """

    def __init__(
        self,
        root: Path,
        *,
        wall_ms: Callable[[], int],
        config: Callable[[ModelVersion, Sequence[int]], str] = python_config,
    ) -> None:
        self.root = root
        self._wall_ms = wall_ms
        self._config = config

    def models(self) -> tuple[str, ...]:
        """The names of all models that have a version."""
        if not self.root.is_dir():
            return ()
        names = (folder.name for folder in self.root.iterdir() if _NAME.fullmatch(folder.name))
        return tuple(sorted(name for name in names if self.versions(name)))

    def versions(self, name: str) -> tuple[int, ...]:
        """The published versions, oldest first; empty for a model that nobody published."""
        folder = self._folder(name)
        return tuple(n for n in _numbers(folder) if (folder / str(n) / METADATA).is_file())

    def publish(self, trained: TrainedModel) -> ModelMetadata:
        """Writes the next version, whole or not at all, and returns what was recorded of it.

        It is neither served nor champion by that. Raises RepositoryError when the folder cannot
        be written.
        """
        folder = self._folder(trained.spec.name)
        staging = folder / f".publishing-{uuid.uuid4().hex}"
        try:
            staging.mkdir(parents=True)
            _write(staging / MODEL, trained.model)
            _write(staging / BACKEND, backend_source())
            _write(staging / BYTECODE, b"")
            return self._claim_version(trained, folder, staging)
        except OSError as error:
            raise RepositoryError(
                f"cannot publish {trained.spec.name} under {self.root}: {error}: "
                f"make the folder writable and check the disk's free space"
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)

    def _claim_version(self, trained: TrainedModel, folder: Path, staging: Path) -> ModelMetadata:
        for _ in range(_PUBLISH_ATTEMPTS):
            version = max(_numbers(folder), default=0) + 1
            metadata = _metadata(trained, version, self._wall_ms())
            _write(staging / METADATA, encode_metadata(metadata))
            _sync(staging)
            try:
                staging.rename(folder / str(version))
            except OSError:
                # Another publisher took the number between our look and our rename.
                if version not in _numbers(folder):
                    raise
                continue
            _sync(folder)
            return metadata
        raise RepositoryError(f"{folder}: {_PUBLISH_ATTEMPTS} versions were taken by others")

    def metadata(self, name: str, version: int) -> ModelMetadata:
        """What was recorded of a version. Raises VersionNotFound or CorruptModel."""
        path = self._folder(name) / str(version) / METADATA
        metadata = decode_metadata(self._read(path, name, version), source=str(path))
        if (metadata.name, metadata.version) != (name, version):
            raise CorruptModel(
                f"{path} describes {metadata.name} version {metadata.version}: "
                f"the folder was renamed or copied, publish the model instead"
            )
        return metadata

    def read(self, name: str, version: int) -> StoredModel:
        """A version with its bytes, verified. Raises VersionNotFound or CorruptModel."""
        metadata = self.metadata(name, version)
        path = self._folder(name) / str(version) / MODEL
        model = self._read(path, name, version)
        checksum = hashlib.sha256(model).hexdigest()
        if checksum != metadata.model_sha256:
            raise CorruptModel(
                f"{path} has sha256 {checksum}, its metadata says {metadata.model_sha256}: "
                f"restore the file or train a new version"
            )
        return StoredModel(metadata, model)

    def champion(self, name: str) -> int | None:
        """The version that decides, or None when none was ever chosen. Raises CorruptModel."""
        path = self._folder(name) / CHAMPION
        try:
            text = path.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise RepositoryError(f"cannot read {path}: {error}") from error
        if not text.isdecimal():
            raise CorruptModel(f"{path} holds {text[:40]!r} instead of a version number")
        return int(text)

    def set_champion(self, name: str, version: int) -> None:
        """Makes `version` the one that decides. Raises VersionNotFound or CorruptModel."""
        self.metadata(name, version)
        _replace(self._folder(name) / CHAMPION, f"{version}\n".encode())

    def serve(self, name: str, versions: Sequence[int]) -> None:
        """Writes what Triton serves at its next load of the model: exactly `versions`.

        Raises VersionNotFound when one of them is not there, RepositoryError when there is none.
        """
        if not versions:
            raise RepositoryError(f"no version of {name} was named to be served")
        model = [self.metadata(name, version).model for version in versions][-1]
        _replace(self._folder(name) / CONFIG, self._config(model, versions).encode())

    def _folder(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise RepositoryError(
                f"{name!r} is not a model name: use lower-case letters, digits, '_' and '-'"
            )
        return self.root / name

    def _read(self, path: Path, name: str, version: int) -> bytes:
        try:
            return path.read_bytes()
        except FileNotFoundError:
            there = ", ".join(str(v) for v in self.versions(name)) or "none"
            raise VersionNotFound(
                f"{self.root} has no version {version} of model {name} (there: {there}): "
                f"train one first"
            ) from None
        except OSError as error:
            raise RepositoryError(f"cannot read {path}: {error}") from error


def _metadata(trained: TrainedModel, version: int, created_at_ms: int) -> ModelMetadata:
    return ModelMetadata(
        name=trained.spec.name,
        version=version,
        created_at_ms=created_at_ms,
        feature_names=trained.feature_names,
        feature_fingerprint=trained.feature_fingerprint,
        threshold=trained.spec.threshold,
        data_range=trained.data_range,
        rows=trained.rows,
        positives=trained.positives,
        rounds=trained.spec.rounds,
        parameters=dict(trained.spec.parameters),
        metrics=dict(trained.metrics),
        xgboost_version=trained.xgboost_version,
        model_sha256=hashlib.sha256(trained.model).hexdigest(),
    )


def _numbers(folder: Path) -> tuple[int, ...]:
    if not folder.is_dir():
        return ()
    names = (path.name for path in folder.iterdir())
    return tuple(sorted(int(name) for name in names if _VERSION.fullmatch(name)))


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _replace(path: Path, data: bytes) -> None:
    staging = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        _write(staging, data)
        staging.replace(path)
        _sync(path.parent)
    except OSError as error:
        raise RepositoryError(f"cannot write {path}: {error}") from error
    finally:
        staging.unlink(missing_ok=True)
