"""The order in which a stream sees a history, against a sort in plain Python."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from featurizers.definitions import EVENTS as EVENT_SOURCE
from featurizers.definitions import LABELS, days
from streams.codec import RecordDecoder
from streams.history import History
from streams.history_files import empty_table
from streams.pipelines.fraud import PIPELINE
from streams.simulator import SimulatorConfig, simulate
from streams.timeline import Stretch, Wire, timeline
from tests.adapters.records import Record

Event = tuple[int, int | None]


def history(events: list[Event]) -> History:
    """Events (time, delay of their label or None), with their number as id, in order of time."""
    rows = [
        {"transaction_id": str(i), "event_time_ms": t, "customer_id": f"c{i % 3}",
         "terminal_id": "t", "amount": 1.5}
        for i, (t, _) in enumerate(events)
    ]  # fmt: skip
    labels = [
        {"transaction_id": str(i), "event_time_ms": t, "customer_id": f"c{i % 3}",
         "terminal_id": "t", "is_fraud": True, "known_at_ms": t + delay}
        for i, (t, delay) in enumerate(events)
        if delay is not None
    ]  # fmt: skip
    return History.ordered(PIPELINE, table(rows, "events"), table(labels, "labels"))


def table(rows: list[dict[str, Any]], kind: str) -> Any:
    empty = empty_table(PIPELINE.events if kind == "events" else PIPELINE.labels)
    return pa.Table.from_pylist(rows, schema=empty.schema).drop_columns(["schema_version"])


def told(stretches: Iterable[Stretch]) -> list[tuple[int, str, str]]:
    """(when, kind, id) of each record, in the order of the sequence."""
    sequence = []
    for stretch in stretches:
        events = iter(stretch.events["transaction_id"].to_pylist())
        labels = iter(stretch.labels["transaction_id"].to_pylist())
        for when, is_event in zip(stretch.when_ms.tolist(), stretch.is_event, strict=True):
            sequence.append(
                (when, "event", next(events)) if is_event else (when, "label", next(labels))
            )
    return sequence


EVENTS = st.lists(st.tuples(st.integers(0, 60), st.none() | st.integers(0, 40)), max_size=30).map(
    lambda events: sorted(events, key=lambda e: e[0])
)


@given(EVENTS, st.integers(1, 10), st.none() | st.integers(1, 30), st.booleans(), st.booleans())
def test_records_come_in_the_order_of_event_time_labels_first(
    events: list[Event],
    rows: int,
    max_events: int | None,
    labels: bool,
    after_end: bool,
) -> None:
    sequence = told(
        timeline(
            history(events).pieces(rows),
            labels=labels,
            labels_after_end=after_end,
            max_events=max_events,
        )
    )

    sent = events[:max_events]
    end = sent[-1][0] if sent else -1
    naive = [(t, "event", str(i)) for i, (t, _) in enumerate(sent)]
    if labels:
        naive += [(t + d, "label", str(i)) for i, (t, d) in enumerate(sent)
                  if d is not None and (after_end or t + d <= end)]  # fmt: skip
    assert set(sequence) == set(naive)
    assert len(sequence) == len(naive)
    # A label without delay may follow an event of its own millisecond in the piece before.
    if all(d is None or d > 0 for _, d in events):
        in_order = sorted(naive, key=lambda r: (r[0], r[1] == "event"))
        assert [r[:2] for r in sequence] == [r[:2] for r in in_order]


@given(EVENTS, st.integers(0, 60), st.integers(0, 60))
def test_a_part_of_a_stretch_is_that_part(events: list[Event], a: int, b: int) -> None:
    for stretch in timeline([history(events)]):
        first, last = sorted((min(a, len(stretch)), min(b, len(stretch))))
        assert told([stretch.part(first, last)]) == told([stretch])[first:last]


def test_messages_are_the_record_type_s_json_with_its_defaults() -> None:
    (stretch, closing) = timeline([history([(5, 7)])])
    assert Wire(PIPELINE.events).messages(stretch.events) == [
        (b"c0", msgspec.json.encode({"transaction_id": "0", "event_time_ms": 5, "customer_id": "c0",
         "terminal_id": "t", "amount": 1.5, "schema_version": 1}))
    ]  # fmt: skip
    ((key, value),) = Wire(PIPELINE.labels).messages(closing.labels)
    assert key == b"c0"
    assert json.loads(value) == {
        "transaction_id": "0",
        "event_time_ms": 5,
        "customer_id": "c0",
        "terminal_id": "t",
        "is_fraud": True,
        "known_at_ms": 12,
        "schema_version": 1,
    }


def test_what_is_sent_of_a_simulation_decodes_to_the_same_columns_and_no_flags() -> None:
    simulated = simulate(SimulatorConfig(days=10, customers=200, terminals=500))
    for schema, sent, source, wanted in (
        (PIPELINE.events, simulated.events, EVENT_SOURCE, simulated.events_facts()),
        (PIPELINE.labels, simulated.labels, LABELS, simulated.labels_facts()),
    ):
        records = [Record(value, key) for key, value in Wire(schema).messages(sent)]
        now_ms = int(wanted.times_ms.max()) + days(300)
        decoded = RecordDecoder(schema, PIPELINE.features, source).decode(records, now_ms)
        assert not decoded.rejected
        assert not decoded.flags
        assert (decoded.facts.ids == wanted.ids).all()
        assert (decoded.facts.times_ms == wanted.times_ms).all()
        for name, keys in wanted.keys.items():
            assert list(decoded.facts.keys[name]) == list(keys)
        for field, values in wanted.values.items():
            assert (decoded.facts.values[field] == values).all()
