"""What is known of one model version: the part a scorer needs, and the whole that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from inference.errors import CorruptModel, ModelMismatch
from inference.spec import ModelSpec, Parameter

SCHEMA_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """One version of a model, as predictions name it.

    Attributes
    ----------
    name, version:
        Its place in the model repository and on Triton.
    feature_fingerprint:
        `FeatureSet.fingerprint()` of the features it was trained on.
    feature_names:
        The columns it expects, in order.
    threshold:
        A score of at least this much is decided as positive.
    """

    name: str
    version: int
    feature_fingerprint: str
    feature_names: tuple[str, ...]
    threshold: float

    @property
    def columns(self) -> int:
        """How many features a row has."""
        return len(self.feature_names)

    def require_features(self, names: Sequence[str], fingerprint: str) -> None:
        """Raises ModelMismatch unless the features are those the model was trained on."""
        if fingerprint == self.feature_fingerprint and tuple(names) == self.feature_names:
            return
        raise ModelMismatch(
            f"model {self.name} version {self.version} was trained on features "
            f"{self.feature_fingerprint} ({self.columns} columns), the pipeline computes "
            f"{fingerprint} ({len(names)} columns): train a version for these features"
        )


class DataRange(msgspec.Struct, frozen=True):
    """Event times of a data set in milliseconds: from `start_ms`, to before `end_ms`."""

    start_ms: int
    end_ms: int


class ModelMetadata(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything recorded of a model version; the file `metadata.json` beside the model.

    `metrics` are named figures, each without unit or with the unit last in its name.
    `model_sha256` is of the model file's bytes.
    """

    name: str
    version: int
    created_at_ms: int
    feature_names: tuple[str, ...]
    feature_fingerprint: str
    threshold: float
    data_range: DataRange
    rows: int
    positives: int
    rounds: int
    parameters: Mapping[str, Parameter]
    metrics: Mapping[str, float]
    xgboost_version: str
    model_sha256: str
    schema_version: int = SCHEMA_VERSION

    @property
    def model(self) -> ModelVersion:
        """The part of it that a scorer needs."""
        return ModelVersion(
            name=self.name,
            version=self.version,
            feature_fingerprint=self.feature_fingerprint,
            feature_names=self.feature_names,
            threshold=self.threshold,
        )


@dataclass(frozen=True, slots=True)
class TrainedModel:
    """A model that has been trained and is not yet published.

    Attributes
    ----------
    spec:
        What it was trained by.
    model:
        The model itself, as xgboost's UBJSON.
    feature_names, feature_fingerprint:
        Its columns in order, and `FeatureSet.fingerprint()`.
    data_range:
        Event times of its training set.
    rows, positives:
        Size of its training set.
    metrics:
        Named figures of its evaluation; empty when there was none.
    """

    spec: ModelSpec
    model: bytes
    feature_names: tuple[str, ...]
    feature_fingerprint: str
    data_range: DataRange
    rows: int
    positives: int
    metrics: Mapping[str, float]
    xgboost_version: str


def encode_metadata(metadata: ModelMetadata) -> bytes:
    """Indented JSON, for people as well as for machines."""
    return msgspec.json.format(msgspec.json.encode(metadata), indent=2) + b"\n"


def decode_metadata(data: bytes, *, source: str) -> ModelMetadata:
    """Raises CorruptModel, naming `source`, for anything but metadata of a known format."""
    try:
        metadata = msgspec.json.decode(data, type=ModelMetadata)
    except msgspec.DecodeError as error:
        raise CorruptModel(f"{source} is not model metadata: {error}") from error
    if metadata.schema_version != SCHEMA_VERSION:
        raise CorruptModel(
            f"{source} is metadata of format {metadata.schema_version}, "
            f"this program reads {SCHEMA_VERSION}: use the release that wrote it"
        )
    return metadata
