"""The packed rows of the join store."""

from __future__ import annotations

import numpy as np
import pytest

from online_learning.errors import JoinFormatError
from online_learning.join_rows import (
    LabelChange,
    PredictionRows,
    merge_label,
    pack_labels,
    unpack_labels,
)
from tests.unit.online_learning.batches import START_MS, LabelRow, PredictionRow, labelled, scored

BATCH = scored([PredictionRow("e", 7, START_MS, 0.5, 3, "kunde-ü", 4), PredictionRow("f", 8)])


def test_predictions_come_back_as_they_went_in() -> None:
    rows = PredictionRows(("a", "b"), ("river",))
    shadow = np.array([[0.25], [np.nan]])
    back = rows.unpack(rows.pack(BATCH, shadow))
    assert back.keys == ["kunde-ü", "k"]
    np.testing.assert_array_equal(back.features, BATCH.features)
    np.testing.assert_array_equal(back.shadow_scores, shadow)
    np.testing.assert_array_equal(back.scores, BATCH.scores)
    np.testing.assert_array_equal(back.event_time_ms, BATCH.event_time_ms)
    np.testing.assert_array_equal(back.model_version, BATCH.model_version)


def test_a_pipeline_without_learners_has_no_shadow_scores() -> None:
    rows = PredictionRows(("a", "b"), ())
    assert rows.unpack(rows.pack(BATCH, np.zeros((2, 0)))).shadow_scores.shape == (2, 0)


def test_rows_of_other_learners_keep_what_is_the_champions_alone() -> None:
    old, new = PredictionRows(("a", "b"), ("river",)), PredictionRows(("a", "b"), ("tree", "river"))
    values = old.pack(BATCH, np.zeros((2, 1)))[:1] + new.pack(BATCH, np.ones((2, 2)))[1:]
    back = new.unpack(values)
    assert back.scores.tolist() == BATCH.scores.tolist()
    assert back.keys == ["kunde-ü", "k"]
    assert np.isnan(back.shadow_scores[0]).all()
    assert np.isnan(back.features[0]).all()
    assert back.shadow_scores[1].tolist() == [1.0, 1.0]


def test_an_unknown_format_is_refused() -> None:
    rows = PredictionRows(("a", "b"), ())
    value = bytearray(rows.pack(BATCH, np.zeros((2, 0)))[0])
    value[12] = 9
    with pytest.raises(JoinFormatError, match="format 9"):
        rows.unpack([bytes(value)])
    with pytest.raises(JoinFormatError, match="only 5 bytes"):
        rows.unpack([b"short"])
    with pytest.raises(JoinFormatError, match="28 bytes"):
        unpack_labels(pack_labels(labelled([LabelRow("e", 0)])))


def test_negative_zero_is_zero() -> None:
    plus, minus = pack_labels(labelled([LabelRow("e", 0, 0.0), LabelRow("e", 1, -0.0)]))
    stored, _ = merge_label(None, plus)
    assert merge_label(stored, minus)[1] is LabelChange.REPEATED
