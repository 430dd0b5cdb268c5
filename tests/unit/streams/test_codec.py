"""Decoding: every record is kept or rejected, with the reason that the table promises."""

from __future__ import annotations

import json
from typing import Annotated, Any

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from featurizers.definitions import (
    EVENTS,
    LABELS,
    Aggregation,
    Entity,
    FeatureSet,
    Value,
    Window,
    WindowFeature,
    days,
)
from featurizers.identity import identities
from streams.codec import Limits, RecordDecoder
from streams.pipeline import EventSchema, PipelineError
from streams.pipelines.fraud import PIPELINE, Payment
from streams.rejection import REASONS
from tests.adapters.records import Record
from tests.bad_inputs import BAD_INPUTS, DAY_MS, NOW_MS, ODD_BUT_ACCEPTED, BadInput, payment


def decoder(**limits: int) -> RecordDecoder:
    return RecordDecoder(PIPELINE.events, PIPELINE.features, EVENTS, Limits(**limits))


def sound(identity: str, time_ms: int = NOW_MS, **options: Any) -> Record:
    value = msgspec.json.encode(payment(identity, event_time_ms=time_ms))
    return Record(value, b"c1", timestamp_ms=NOW_MS, **options)


@pytest.mark.parametrize("bad", BAD_INPUTS, ids=lambda bad: bad.name)
def test_a_bad_record_is_rejected_with_its_reason_and_costs_its_neighbours_nothing(
    bad: BadInput,
) -> None:
    records = [sound("before"), Record(bad.value, bad.key, timestamp_ms=NOW_MS), sound("after")]

    decoded = decoder().decode(records, NOW_MS)

    assert decoded.kept == [records[0], records[2]]
    assert list(decoded.ids) == ["before", "after"]
    (rejected,) = decoded.rejected
    assert rejected.record is records[1]
    assert (rejected.stage, rejected.reason, rejected.field) == ("decode", bad.reason, bad.field)
    assert 0 < len(rejected.message) <= 300
    assert decoded.flags == {}


@pytest.mark.parametrize("odd", ODD_BUT_ACCEPTED, ids=lambda odd: odd.name)
def test_an_odd_record_is_accepted_and_flagged(odd: BadInput) -> None:
    records = [sound("before"), Record(odd.value, odd.key, timestamp_ms=NOW_MS), sound("after")]

    decoded = decoder().decode(records, NOW_MS)

    assert list(decoded.kept) == records
    assert decoded.flags == ({1: odd.flags} if odd.flags else {})


def test_every_reason_of_the_contract_can_be_reached_or_is_the_record_type_s_own() -> None:
    assert {bad.reason for bad in BAD_INPUTS} == set(REASONS) - {"invalid"}


def test_columns_are_those_of_the_accepted_records() -> None:
    rows = [payment("a", amount=3.25), payment("b", customer_id="c2", amount=7)]
    records = [Record(json.dumps(row).encode(), row["customer_id"].encode()) for row in rows]
    records.insert(1, Record(b"{", b"c1"))

    facts = decoder().decode(records, NOW_MS).facts

    assert facts.source == EVENTS
    assert facts.ids.tolist() == identities(["a", "b"]).tolist()
    assert facts.times_ms.tolist() == [NOW_MS, NOW_MS]
    assert facts.times_ms.dtype == np.int64
    assert {name: list(keys) for name, keys in facts.keys.items()} == {
        "customer": ["c1", "c2"],
        "terminal": ["t1", "t1"],
    }
    assert facts.values["amount"].tolist() == [3.25, 7.0]


def test_labels_have_the_keys_of_the_entities_that_count_them_and_no_others() -> None:
    label = {**payment("a"), "is_fraud": True, "known_at_ms": NOW_MS + 7 * DAY_MS}
    del label["amount"]
    labels = RecordDecoder(PIPELINE.labels, PIPELINE.features, LABELS)

    decoded = labels.decode([Record(json.dumps(label).encode(), b"c1")], NOW_MS)

    assert set(decoded.facts.keys) == {"terminal"}
    assert decoded.facts.values["is_fraud"].tolist() == [1.0]
    assert decoded.rows[0].known_at_ms == NOW_MS + 7 * DAY_MS


def test_nothing_decoded_gives_empty_columns() -> None:
    decoded = decoder().decode([], NOW_MS)
    assert len(decoded.facts) == 0
    assert decoded.facts.values["amount"].dtype == np.float64
    assert decoded.rejected == []


def test_a_replay_of_an_old_year_is_flagged_nowhere_but_its_stray_is() -> None:
    start = 1_530_000_000_000
    records = [sound(str(i), start + i * DAY_MS // 20) for i in range(400)]
    records[200] = sound("stray", start + 400 * DAY_MS)
    records[300] = sound("forgotten", start - 90 * DAY_MS)

    decoded = decoder().decode(records, NOW_MS)

    assert decoded.flags == {200: ("future",), 300: ("past",)}


def test_after_a_gap_the_stream_s_clock_follows() -> None:
    subject = decoder()
    subject.decode([sound(str(i), 1_530_000_000_000) for i in range(10)], NOW_MS)
    resumed = [sound(f"n{i}", 1_540_000_000_000 + i) for i in range(20)]

    flagged = [row for record in resumed for row in subject.decode([record], NOW_MS).flags.values()]

    assert flagged == [("future",)] * 8
    subject.forget()
    assert subject.decode([sound("x", 1_530_000_000_000)], NOW_MS).flags == {}


def test_partitions_have_clocks_of_their_own() -> None:
    subject = decoder()
    records = [sound("a", NOW_MS), sound("b", NOW_MS - 300 * DAY_MS, partition=1)]
    assert subject.decode(records, NOW_MS).flags == {}


def test_the_producer_s_clock_counts_when_ours_is_behind() -> None:
    ahead = sound("a", NOW_MS + 3 * DAY_MS)
    later = Record(ahead.value(), b"c1", timestamp_ms=NOW_MS + 3 * DAY_MS)
    decoded = decoder().decode([later], NOW_MS)
    assert list(decoded.kept) == [later]


class Loose(msgspec.Struct):
    """A record without limits, as a user may write one."""

    id: str
    key: str
    time: int
    amount: float | None


LOOSE_ENTITY = Entity("thing", key="key")
LOOSE_FEATURES = FeatureSet(
    entities=(LOOSE_ENTITY,),
    features=(
        WindowFeature(
            "total", LOOSE_ENTITY, Aggregation.SUM, Window(days(1)), Value("amount", scale=100)
        ),
    ),
)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ('"time": 1, "amount": 1e300', "out_of_range", "amount"),
        ('"time": 1, "amount": 90071992547409.92', "out_of_range", "amount"),
        ('"time": 1, "amount": null', "missing_field", "amount"),
        ('"time": 1152921504606846976, "amount": 1', "out_of_range", "time"),
        ('"time": 1' + "0" * 500 + ', "amount": 1', "out_of_range", "time"),
        ('"time": 1, "amount": 90071992547409.91', None, None),
        ('"time": 1, "amount": 1, "schema_version": 3', "unknown_schema_version", "schema_version"),
        ('"time": 1, "amount": 1, "schema_version": 1', None, None),
    ],
)
def test_numbers_that_features_cannot_count_exactly_are_refused(
    fields: str, reason: str | None, field: str | None
) -> None:
    schema = EventSchema(record=Loose, id="id", key="key", time="time")
    subject = RecordDecoder(schema, LOOSE_FEATURES, EVENTS, Limits(future_ms=2**62))
    good = Record(b'{"id": "g", "key": "k", "time": 1, "amount": -2}', b"k")
    record = Record(f'{{"id": "x", "key": "k", {fields}}}'.encode(), b"k")

    decoded = subject.decode([good, record], NOW_MS)

    assert [(r.reason, r.field) for r in decoded.rejected] == ([(reason, field)] if reason else [])
    assert decoded.facts.values["amount"][0] == -2
    assert len(decoded.facts) == 2 - len(decoded.rejected)


class Odd(msgspec.Struct):
    id: int
    key: str
    time: float
    amount: str


def test_a_record_type_that_cannot_be_counted_is_refused_with_all_its_faults() -> None:
    schema = EventSchema(record=Odd, id="id", key="key", time="time")
    with pytest.raises(PipelineError) as refused:
        RecordDecoder(schema, LOOSE_FEATURES, EVENTS)
    assert len(refused.value.faults) == 3


class Checked(msgspec.Struct):
    id: Annotated[str, msgspec.Meta(pattern="^a")]
    key: str
    time: int
    amount: float

    def __post_init__(self) -> None:
        if self.amount == 13:
            raise ValueError("unlucky")


@pytest.mark.parametrize(
    ("identity", "amount", "reason"), [("b", 1, "out_of_range"), ("a", 13, "invalid")]
)
def test_a_record_type_s_own_checks_count(identity: str, amount: float, reason: str) -> None:
    schema = EventSchema(record=Checked, id="id", key="key", time="time")
    value = msgspec.json.encode({"id": identity, "key": "k", "time": 1, "amount": amount})
    decoded = RecordDecoder(schema, LOOSE_FEATURES, EVENTS).decode([Record(value, b"k")], NOW_MS)
    assert [r.reason for r in decoded.rejected] == [reason]


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=70), st.just(NOW_MS)
)
JSON = st.recursive(
    SCALARS, lambda c: st.lists(c, max_size=3) | st.dictionaries(st.text(max_size=5), c, max_size=3)
)
FIELDS = st.dictionaries(
    st.sampled_from([*Payment.__struct_fields__, "note"]), SCALARS | JSON, max_size=7
)
NEARLY = FIELDS.map(lambda fields: json.dumps(payment("p", **fields)).encode())
VALUES = st.one_of(
    st.none(), st.binary(max_size=80), JSON.map(lambda v: json.dumps(v).encode()), NEARLY
)
KEYS = st.sampled_from([b"c1", None, b"", b"c2"]) | st.binary(max_size=8)


@given(st.lists(st.tuples(VALUES, KEYS, st.integers(0, 3)), max_size=12))
@example([(json.dumps(payment("\udfff")).encode(), b"c1", 0)])
def test_whatever_comes_each_record_is_kept_or_rejected_and_what_is_kept_is_sound(
    inputs: list[tuple[bytes | None, bytes | None, int]],
) -> None:
    records = [Record(v, k, partition=p, offset=i) for i, (v, k, p) in enumerate(inputs)]

    decoded = decoder().decode(records, NOW_MS)

    seen = [record.offset() for record in decoded.kept]
    refused = [rejected.record.offset() for rejected in decoded.rejected]
    assert sorted(seen + refused) == list(range(len(records)))
    assert seen == sorted(seen)
    assert {rejected.reason for rejected in decoded.rejected} <= set(REASONS)
    assert len(decoded.facts) == len(decoded.rows) == len(seen)
    for row, record in zip(decoded.rows, decoded.kept, strict=True):
        again = msgspec.json.decode(msgspec.json.encode(row), type=Payment, strict=True)
        assert msgspec.structs.astuple(again) == msgspec.structs.astuple(row)
        assert record.key() == row.customer_id.encode()
    assert np.isfinite(decoded.facts.values["amount"]).all()
