"""Reading data files: any format gives the same history, and a fault is named with its row."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurizers.definitions import days
from streams.conversion import DataFileError
from streams.history import History, count_events, iter_history, read_history
from streams.pipelines.fraud import PIPELINE

START = datetime(2026, 1, 5, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
COLUMNS = ("TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD")


def payments(n: int) -> list[dict[str, Any]]:
    """n payments a day and a bit apart, in the published files' columns, as texts and numbers."""
    return [
        {
            "TRANSACTION_ID": i,
            "TX_DATETIME": START + timedelta(hours=25 * i, milliseconds=7),
            "CUSTOMER_ID": i % 3,
            "TERMINAL_ID": i % 5,
            "TX_AMOUNT": i + 0.25,
            "TX_FRAUD": i % 4 == 0,
        }
        for i in range(n)
    ]


def parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    naive = [{**row, "TX_DATETIME": row["TX_DATETIME"].replace(tzinfo=None)} for row in rows]
    table = pa.Table.from_pylist(naive)
    if rows:
        table = table.set_column(5, "TX_FRAUD", table["TX_FRAUD"].cast(pa.int8()))
    pq.write_table(table, path, row_group_size=4)
    return path


def csv_file(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, "TX_DATETIME": row["TX_DATETIME"].isoformat()} for row in rows)
    return path


def json_lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    eastern = timezone(timedelta(hours=-5))
    lines = [
        json.dumps({**row, "TX_DATETIME": row["TX_DATETIME"].astimezone(eastern).isoformat()})
        for row in rows
    ]
    path.write_text("\n".join(lines) + "\n\n")
    return path


WRITERS = {"p.parquet": parquet, "p.csv": csv_file, "p.jsonl": json_lines}


@pytest.mark.parametrize("name", WRITERS)
def test_every_format_reads_as_the_same_history(name: str, tmp_path: Path) -> None:
    history = read_history(PIPELINE, [WRITERS[name](tmp_path / name, payments(10))])

    assert history.events.to_pylist()[3] == {
        "transaction_id": "3",
        "event_time_ms": START_MS + 75 * 3_600_000 + 7,
        "customer_id": "0",
        "terminal_id": "3",
        "amount": 3.25,
    }
    assert history.labels.to_pylist()[4] == {
        "transaction_id": "4",
        "event_time_ms": START_MS + 100 * 3_600_000 + 7,
        "customer_id": "1",
        "terminal_id": "4",
        "is_fraud": True,
        "known_at_ms": START_MS + 100 * 3_600_000 + 7 + days(7),
    }
    assert history.truth().tolist() == [float(i % 4 == 0) for i in range(10)]
    events, labels = history.events_facts(), history.labels_facts()
    assert events.values["amount"].tolist() == [i + 0.25 for i in range(10)]
    assert list(events.keys["terminal"]) == [str(i % 5) for i in range(10)]
    assert labels.values["is_fraud"].tolist() == history.truth().tolist()
    assert set(labels.keys) == {"terminal"}


@pytest.mark.parametrize("name", WRITERS)
def test_pieces_of_a_file_are_its_whole(name: str, tmp_path: Path) -> None:
    files = [WRITERS[name](tmp_path / name, payments(10))]
    pieces = list(iter_history(PIPELINE, files, rows=3))
    assert max(len(piece) for piece in pieces) == 3
    assert_same(joined(pieces), read_history(PIPELINE, files))


def test_files_out_of_order_are_sorted(tmp_path: Path) -> None:
    rows = payments(12)
    late = parquet(tmp_path / "late.parquet", rows[6:])
    early = csv_file(tmp_path / "early.csv", [*rows[3:6], *rows[:3]])
    pieces = list(iter_history(PIPELINE, [late, early], rows=5))
    assert joined(pieces).event_ids == [str(i) for i in range(12)]
    assert [len(piece) for piece in pieces] == [5, 5, 2]
    assert all((np.diff(piece.event_times_ms) >= 0).all() for piece in pieces)


def test_labels_may_lie_in_a_file_of_their_own(tmp_path: Path) -> None:
    rows = payments(6)
    events = [{k: v for k, v in row.items() if k != "TX_FRAUD"} for row in rows]
    pq.write_table(pa.Table.from_pylist(events), tmp_path / "events.parquet")
    known = [{**row, "known_at_ms": START_MS + 5 - i} for i, row in enumerate(rows[1:])]
    labels = [{k: v for k, v in row.items() if k != "TX_AMOUNT"} for row in known]
    pq.write_table(pa.Table.from_pylist(labels), tmp_path / "labels.parquet")

    both = [tmp_path / "events.parquet", tmp_path / "labels.parquet"]
    history = read_history(PIPELINE, both)

    assert np.isnan(history.truth()[0])
    assert history.truth()[1:].tolist() == [0, 0, 0, 1, 0]
    assert history.labels["transaction_id"].to_pylist() == ["5", "4", "3", "2", "1"]
    assert_same(joined(list(iter_history(PIPELINE, both, rows=2))), history)
    assert len(read_history(PIPELINE, both[:1]).labels) == 0


def test_an_empty_label_is_none_and_a_corrected_one_counts_last(tmp_path: Path) -> None:
    rows = [{**row, "known_at_ms": START_MS + i} for i, row in enumerate(payments(4))]
    rows[1]["TX_FRAUD"] = None
    corrected = {**rows[2], "TX_FRAUD": True, "known_at_ms": START_MS + 99}
    path = tmp_path / "p.parquet"
    pq.write_table(pa.Table.from_pylist([*rows, corrected]), path)
    truth = read_history(PIPELINE, [path]).truth()
    assert truth[[0, 2, 3]].tolist() == [1, 1, 1]
    assert np.isnan(truth[1])


def test_a_range_keeps_later_labels_of_earlier_events(tmp_path: Path) -> None:
    path = parquet(tmp_path / "p.parquet", payments(20))
    from_ms, to_ms = START_MS + days(8), START_MS + days(10)
    for history in (
        read_history(PIPELINE, [path], from_ms, to_ms),
        joined(list(iter_history(PIPELINE, [path], from_ms, to_ms, rows=3))),
    ):
        times = history.event_times_ms
        assert ((times >= from_ms) & (times < to_ms)).all()
        assert len(history) == count_events(PIPELINE, [path], from_ms, to_ms) == 2
        ids = [int(i) for i in history.labels["transaction_id"].to_pylist()]
        assert ids == list(range(1, 10))
        assert (history.label_known_at_ms >= from_ms).all()
    before = read_history(PIPELINE, [path]).before(to_ms)
    assert before.event_times_ms.max() < to_ms
    assert before.label_known_at_ms.max() < to_ms
    assert (len(before), len(before.labels)) == (10, 3)


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    history = read_history(PIPELINE, [parquet(tmp_path / "p.parquet", payments(9))])
    history.write(tmp_path / "deep" / "q.parquet")
    assert_same(read_history(PIPELINE, [tmp_path / "deep" / "q.parquet"]), history)


@pytest.mark.parametrize(
    ("column", "cells", "field", "wanted"),
    [
        ("TX_DATETIME", ["1767571200000", "12"], "event_time_ms", [START_MS, 12]),
        ("TX_DATETIME", ["2026-01-05", "2026-01-05 00:00"], "event_time_ms", [START_MS] * 2),
        ("TX_DATETIME", ["2026-01-05T00:00:00.0019Z", "1969-12-31T23:59:59.9999"], "event_time_ms",
         [START_MS + 1, -1]),
        ("TX_DATETIME", ["2026-01-05 01:00:00+01:00", "2026-01-05"], "event_time_ms",
         [START_MS] * 2),
        ("CUSTOMER_ID", ["007", "1e3"], "customer_id", ["007", "1e3"]),
        ("TX_AMOUNT", ["1e2", "3"], "amount", [100.0, 3.0]),
    ],
)  # fmt: skip
def test_cells_of_a_csv_file_become_what_the_field_is(
    column: str, cells: list[str], field: str, wanted: list[object], tmp_path: Path
) -> None:
    row = dict.fromkeys(COLUMNS, "1")
    path = tmp_path / "p.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows({**row, column: cell} for cell in cells)
    events = read_history(PIPELINE, [path]).events
    assert sorted(events[field].to_pylist(), key=str) == sorted(wanted, key=str)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize(
    ("row", "column", "cell", "message"),
    [
        (7, "TX_AMOUNT", "much", "'much' is not a finite number"),
        (7, "TX_AMOUNT", None, "the cell is empty"),
        (9, "CUSTOMER_ID", None, "the cell is empty"),
        (1, "TX_FRAUD", "perhaps", "'perhaps' is not true, false, 1 or 0"),
    ],
)
def test_a_fault_is_named_with_file_column_and_row(
    name: str, row: int, column: str, cell: object, message: str, tmp_path: Path
) -> None:
    rows = [{**r, column: str(r[column])} for r in payments(10)]
    rows[row - 1][column] = cell
    path = tmp_path / name
    if name == "p.parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        WRITERS[name](path, rows)
    with pytest.raises(DataFileError) as fault:
        list(iter_history(PIPELINE, [path], rows=4))
    assert str(fault.value) == f"{path}, column {column!r}, row {row}: {message}"


def test_other_faults_say_what_to_do(tmp_path: Path) -> None:
    nowhere, strange, lacking = tmp_path / "a.csv", tmp_path / "b.xlsx", tmp_path / "c.csv"
    strange.write_text("x")
    lacking.write_text("TRANSACTION_ID,amount\n1,2\n")
    broken, torn = tmp_path / "d.parquet", tmp_path / "e.jsonl"
    broken.write_bytes(b"PAR1 no")
    torn.write_text('{"transaction_id": "1"}\n{"transaction_id": \n')
    for path, words in (
        (nowhere, "there is no such file"),
        (strange, "must be one of .parquet, .csv"),
        (lacking, "no column 'TX_DATETIME' or 'event_time_ms', 'CUSTOMER_ID' or 'customer_id'"),
        (broken, "cannot be read"),
        (torn, "no column"),
    ):
        with pytest.raises(DataFileError, match=words) as fault:
            read_history(PIPELINE, [path])
        assert str(path) in str(fault.value)


def joined(pieces: list[History]) -> History:
    return History.ordered(
        PIPELINE,
        pa.concat_tables([piece.events for piece in pieces]),
        pa.concat_tables([piece.labels for piece in pieces]),
    )


def assert_same(one: History, other: History) -> None:
    assert one.events.to_pylist() == other.events.to_pylist()
    assert one.labels.to_pylist() == other.labels.to_pylist()
