"""An installation over the session's servers, with a pipeline of each test's own."""

from __future__ import annotations

import importlib
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.stack.addresses import StackAddresses, save_stack
from deploy.stack.layout import Layout
from streams.history import History
from streams.pipeline import Pipeline
from streams.simulator import SimulatorConfig, simulate
from tests.system.headrace import Headrace

DAY_MS = 86_400_000


@pytest.fixture
def headrace(
    stack_layout: Layout,
    kafka_bootstrap: str,
    valkey_url: str,
    triton_url: str,
    triton_repository: Path,
    tmp_path: Path,
) -> Iterator[Headrace]:
    layout = Layout(stack_layout.checkout, tmp_path / "state", stack_layout.fetched)
    addresses = StackAddresses(
        kafka_bootstrap=kafka_bootstrap,
        valkey_url=valkey_url,
        triton_grpc=triton_url,
        triton_http="",
        triton_metrics="",
        model_repository=triton_repository,
    )
    save_stack(layout, addresses)
    installation = Headrace(layout, tmp_path, kafka_bootstrap)
    yield installation
    installation.end_all()


@dataclass(frozen=True)
class Case:
    """A pipeline of this test alone, and payments for it.

    The first 40 days are history, of which the last 7 are for training; two days follow.
    """

    reference: str
    pipeline: Pipeline
    history: History
    file: Path
    live_from_ms: int


@pytest.fixture
def case(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    name = f"p{uuid.uuid4().hex[:10]}"
    (headrace.folder / f"{name}.py").write_text(
        "from dataclasses import replace\n"
        "from streams.pipelines.fraud import PIPELINE as FRAUD\n"
        f"PIPELINE = replace(FRAUD, name={name!r}, model=replace(FRAUD.model, name={name!r}))\n"
    )
    monkeypatch.syspath_prepend(str(headrace.folder))
    pipeline: Pipeline = importlib.import_module(name).PIPELINE
    # Labels come half a day before the windows need them (at the replays' rates, most of a second),
    # so that how two topics race cannot show.
    config = SimulatorConfig(
        days=42,
        customers=400,
        terminals=300,
        compromised_terminals_a_day=40,
        compromised_customers_a_day=40,
        label_delay_ms=7 * DAY_MS - DAY_MS // 2,
    )
    simulated = simulate(config)
    history = History.ordered(pipeline, simulated.events, simulated.labels)
    file = headrace.folder / "payments.parquet"
    history.write(file)
    yield Case(f"{name}:PIPELINE", pipeline, history, file, config.start_ms + 40 * DAY_MS)
    sys.modules.pop(name, None)


@pytest.fixture
def trained(headrace: Headrace, case: Case) -> Case:
    """The case with topics, a champion on Triton, and full windows in the store."""
    data = ("--data", str(case.file))
    headrace.do("prepare", case.reference)
    headrace.do("train", case.reference, *data, "--from", "2026-02-03", "--to", "2026-02-10")
    headrace.do("features", "load", case.reference, *data, "--to", "2026-02-10")
    return case
