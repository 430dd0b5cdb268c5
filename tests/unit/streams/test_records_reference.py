"""The published contract names every field, flag, reason and header that the code writes."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams import codec, deadletters
from streams.pipelines.fraud import FraudLabel, Payment
from streams.records import DeadLetter, Prediction, Stages
from streams.rejection import REASONS, STAGES
from streams.replay_progress import ReplaySummary

DOCS = Path(__file__).parents[3] / "docs"
RECORDS = (DOCS / "reference" / "records.md").read_text()
GUIDE = (DOCS / "guides" / "replay-your-data.md").read_text()
STRUCTS = (Payment, FraudLabel, Prediction, Stages, DeadLetter)
NAMES = {
    *(name for struct in STRUCTS for name in struct.__struct_fields__),
    *REASONS,
    *STAGES,
    *deadletters.OWN_HEADERS,
    codec.EXTRA_FIELDS,
    codec.FUTURE,
    codec.PAST,
}
LIMITS = (
    codec.Limits().value_bytes,
    codec.Limits().key_bytes,
    deadletters.MAX_VALUE_BYTES,
    deadletters.MAX_KEY_BYTES,
    deadletters.MAX_HEADER_BYTES,
)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_the_reference_names_it(name: str) -> None:
    assert f"`{name}`" in RECORDS


@pytest.mark.parametrize("limit", LIMITS)
def test_the_reference_has_the_limits_of_the_code(limit: int) -> None:
    assert f"{limit:,}" in RECORDS


@pytest.mark.parametrize("key", ReplaySummary.__slots__)
def test_the_guide_names_every_figure_of_a_replay(key: str) -> None:
    assert f"`{key}`" in GUIDE
