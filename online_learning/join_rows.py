"""How a prediction and a label stand in the join store: packed bytes, version 1.

Prediction (little endian): partition u32, offset u64, version u8, layout u32, features u16,
shadows u16, event time i64, model version i64, score f64, the features f64 each, the shadow scores
f64 each, and the key in UTF-8. `layout` is a checksum of the feature and learner names, so that a
row written before the learners changed is not read as if it spoke of today's.

Label (big endian): known-at u64, partition u32, offset u64 - the stamp of the newest label seen -
then the label as f64, and, in the store alone, its revision u32 and the stamp of the label that
set it. Stamps compare as bytes, so that a store can order labels without decoding them.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct

import numpy as np

from online_learning.batches import FloatArray, IntArray, LabelBatch, ScoredBatch
from online_learning.errors import JoinFormatError

ROW_VERSION = 1
POSITION_BYTES = 12
_LAYOUT = slice(12, 21)

_STAMP = Struct(">QIQ")
_LABEL = Struct(">QIQd")
_STORED_LABEL = Struct(">QIQdIQIQ")
STAMP_BYTES = _STAMP.size
LABEL_BYTES = _LABEL.size

_HEAD = [
    ("partition", "<u4"),
    ("offset", "<u8"),
    ("version", "u1"),
    ("layout", "<u4"),
    ("n_features", "<u2"),
    ("n_shadows", "<u2"),
    ("event_time_ms", "<i8"),
    ("model_version", "<i8"),
    ("score", "<f8"),
]
_HEAD_TYPE = np.dtype(_HEAD)


class LabelChange(IntEnum):
    """What a label did to what the store knew of its event."""

    FIRST = 0
    """No label was known."""
    CORRECTED = 1
    """A later label says otherwise: the revision grew."""
    AGAIN = 2
    """The very record that set the label was read again."""
    REPEATED = 3
    """Another record says what is known already. Nothing changed."""
    SUPERSEDED = 4
    """Another record, known earlier, says otherwise. Nothing changed."""


def merge_label(stored: bytes | None, new: bytes) -> tuple[bytes, LabelChange]:
    """What a store keeps of an event's label when `new` comes in, and what that was.

    The result does not depend on the order in which distinct labels come in, but for the revision.
    Every adapter of `JoinStore` follows this function; the contract suite holds them to it.
    """
    stamp, value = new[:STAMP_BYTES], new[STAMP_BYTES:LABEL_BYTES]
    if stored is None:
        return new + bytes(4) + stamp, LabelChange.FIRST
    newest, revision = stored[:STAMP_BYTES], stored[LABEL_BYTES : LABEL_BYTES + 4]
    origin = stored[LABEL_BYTES + 4 :]
    if value == stored[STAMP_BYTES:LABEL_BYTES]:
        # The origin stays: it alone may be read again and give the same outcome again.
        kept = max(newest, stamp) + value + revision + origin
        return kept, LabelChange.AGAIN if stamp == origin else LabelChange.REPEATED
    if stamp < newest:
        return stored, LabelChange.SUPERSEDED
    grown = (int.from_bytes(revision, "big") + 1).to_bytes(4, "big")
    return new + grown + stamp, LabelChange.CORRECTED


def pack_labels(batch: LabelBatch) -> list[bytes]:
    """The n labels as bytes for `JoinStore.add_labels`."""
    columns = (
        np.maximum(batch.known_at_ms, 0).tolist(),
        batch.positions.partitions.tolist(),
        batch.positions.offsets.tolist(),
        # Adding zero makes -0.0 the 0.0 it equals: the store compares bytes.
        (batch.labels + 0.0).tolist(),
    )
    return [_LABEL.pack(*row) for row in zip(*columns, strict=True)]


def unpack_labels(stored: Sequence[bytes]) -> tuple[FloatArray, IntArray, IntArray]:
    """Labels float64[n], revisions int64[n] and known-at int64[n] of what a store keeps."""
    wrong = [s for s in stored if len(s) != _STORED_LABEL.size]
    if wrong:
        raise JoinFormatError(
            f"a stored label has {len(wrong[0])} bytes instead of {_STORED_LABEL.size}"
        )
    rows = [_STORED_LABEL.unpack(s) for s in stored]
    return (
        np.array([row[3] for row in rows], dtype=np.float64),
        np.array([row[4] for row in rows], dtype=np.int64),
        np.array([row[5] for row in rows], dtype=np.int64),
    )


@dataclass(frozen=True, slots=True)
class StoredPredictions:
    """n predictions as they were when first read; columns as in `OutcomeBatch`."""

    keys: list[str]
    event_time_ms: IntArray
    scores: FloatArray
    shadow_scores: FloatArray
    features: FloatArray
    model_version: IntArray


@dataclass(frozen=True)
class PredictionRows:
    """Packs and unpacks predictions of a pipeline's features and learners.

    Attributes
    ----------
    features, learners:
        Their names, in column order.
    """

    features: tuple[str, ...]
    learners: tuple[str, ...]
    _layout: int = field(init=False)
    _type: np.dtype[np.void] = field(init=False)

    def __post_init__(self) -> None:
        names = "\n".join((*self.features, "", *self.learners))
        object.__setattr__(self, "_layout", zlib.crc32(names.encode()))
        object.__setattr__(self, "_type", _row_type(len(self.features), len(self.learners)))

    def pack(self, batch: ScoredBatch, shadow_scores: FloatArray) -> list[bytes]:
        """The n predictions as bytes for `JoinStore.add_predictions`.

        The first `POSITION_BYTES` bytes are the position of the record.
        """
        rows = np.zeros(len(batch), dtype=self._type)
        rows["partition"] = batch.positions.partitions
        rows["offset"] = batch.positions.offsets
        rows["version"] = ROW_VERSION
        rows["layout"] = self._layout
        rows["n_features"] = len(self.features)
        rows["n_shadows"] = len(self.learners)
        rows["event_time_ms"] = batch.event_time_ms
        rows["model_version"] = batch.model_version
        rows["score"] = batch.scores
        rows["features"] = batch.features
        rows["shadows"] = shadow_scores
        packed, size = rows.tobytes(), self._type.itemsize
        return [packed[i * size : (i + 1) * size] + k.encode() for i, k in enumerate(batch.keys)]

    def unpack(self, values: Sequence[bytes]) -> StoredPredictions:
        """What `pack` made, also where it was made for other features or learners.

        Columns that a row does not have, or that mean something else in it, are NaN. Raises
        `JoinFormatError` for a version that this one does not know.
        """
        out = StoredPredictions(
            keys=[""] * len(values),
            event_time_ms=np.zeros(len(values), dtype=np.int64),
            scores=np.full(len(values), np.nan),
            shadow_scores=np.full((len(values), len(self.learners)), np.nan),
            features=np.full((len(values), len(self.features)), np.nan),
            model_version=np.zeros(len(values), dtype=np.int64),
        )
        layouts: dict[bytes, list[int]] = {}
        for i, value in enumerate(values):
            layouts.setdefault(value[_LAYOUT], []).append(i)
        for rows in layouts.values():
            self._unpack_layout(values, rows, out)
        return out

    def _unpack_layout(
        self, values: Sequence[bytes], rows: list[int], out: StoredPredictions
    ) -> None:
        row_type = _type_of(values[rows[0]])
        size = row_type.itemsize
        table = np.frombuffer(b"".join(values[i][:size] for i in rows), dtype=row_type)
        for i in rows:
            out.keys[i] = values[i][size:].decode()
        out.event_time_ms[rows] = table["event_time_ms"]
        out.scores[rows] = table["score"]
        out.model_version[rows] = table["model_version"]
        if table["layout"][0] == self._layout:
            out.features[rows] = table["features"]
            out.shadow_scores[rows] = table["shadows"]


def _row_type(n_features: int, n_shadows: int) -> np.dtype[np.void]:
    return np.dtype([*_HEAD, ("features", "<f8", (n_features,)), ("shadows", "<f8", (n_shadows,))])


def _type_of(value: bytes) -> np.dtype[np.void]:
    if len(value) < _HEAD_TYPE.itemsize:
        raise JoinFormatError(f"a stored prediction has only {len(value)} bytes")
    head = np.frombuffer(value, dtype=_HEAD_TYPE, count=1)[0]
    if head["version"] != ROW_VERSION:
        raise JoinFormatError(
            f"a stored prediction has format {head['version']}, this version reads {ROW_VERSION}"
        )
    return _row_type(int(head["n_features"]), int(head["n_shadows"]))
