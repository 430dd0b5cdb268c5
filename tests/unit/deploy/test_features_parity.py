"""The replay of a parity check, over the store in memory."""

from __future__ import annotations

import pytest

from deploy.features.parity import CUT_BY_SIZE, check_parity
from featurizers.store.memory import MemoryStore
from streams.history import History
from streams.pipelines.fraud import PIPELINE
from streams.simulator import SimulatorConfig, simulate

CONFIG = SimulatorConfig(days=20, customers=80, terminals=250)


@pytest.fixture(scope="module")
def history() -> History:
    simulated = simulate(CONFIG)
    return History.ordered(PIPELINE, simulated.events, simulated.labels)


@pytest.mark.parametrize("batch_records", [1, 7, 100_000])
def test_every_record_is_replayed_once_whatever_the_batch(
    history: History, batch_records: int
) -> None:
    done: list[int] = []
    events = len(history) - 5
    run = check_parity(
        history,
        MemoryStore(lambda: 0.0),
        max_events=events,
        batch_records=batch_records,
        progress=lambda at, total: done.append(at),
    )
    until = history.event_times_ms[events - 1]
    labels = int((history.label_known_at_ms <= until).sum())
    assert (run.events, run.labels) == (events, labels)
    assert labels > 0
    assert run.micro_batches == -(-(events + labels) // batch_records)
    assert run.report.values_differing == 0
    assert done == sorted(done)
    assert done[-1] == events


def test_logs_that_were_cut_for_their_size_are_named_as_the_reason(history: History) -> None:
    run = check_parity(history, MemoryStore(lambda: 0.0, max_entries=16))
    assert run.report.values_differing > 0
    assert run.report.differing_by_reason == {CUT_BY_SIZE: run.report.values_differing}


def test_nothing_in_the_range_is_nothing_compared(history: History) -> None:
    beyond = int(history.event_times_ms[-1]) + 1
    run = check_parity(history, MemoryStore(lambda: 0.0), from_ms=beyond)
    assert (run.events, run.labels, run.report.values_compared) == (0, 0, 0)
    assert run.history_entries > 0
