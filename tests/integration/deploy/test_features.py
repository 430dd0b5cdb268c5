"""`headrace features` over a real store, on a small simulated history."""

from __future__ import annotations

import importlib
import json
import sys
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import redis
from click.testing import CliRunner, Result

from deploy.cli.features import features
from deploy.errors import DeployError
from deploy.features.parity import LABEL_IN_BATCH
from featurizers.offline import compute
from featurizers.store.redis import RedisSettings, RedisStore
from streams.conversion import DataFileError
from streams.history import History
from streams.pipeline import Pipeline
from streams.simulator import SimulatorConfig, simulate

pytestmark = pytest.mark.integration

DAY_MS = 86_400_000
HOURLY_LABELS = """
from featurizers.definitions import LABELS, Aggregation, FeatureSet, Window, WindowFeature, hours
from streams.pipelines.fraud import FRAUD as VALUE, TERMINAL
FRAUD = replace(FRAUD, features=FeatureSet(entities=(TERMINAL,), features=(
    WindowFeature("risk", TERMINAL, Aggregation.COUNT, Window(hours(24 * 30)), None, LABELS),
    WindowFeature("seen", TERMINAL, Aggregation.COUNT, Window(hours(24 * 30))),
)))
"""


@dataclass(frozen=True)
class Case:
    """A pipeline of this test alone, 45 days of its history in a file, and its store."""

    pipeline: Pipeline
    file: Path
    history: History
    store: redis.Redis

    def run(self, command: str, *arguments: str) -> Result:
        """Runs a command without the pipeline's servers beyond the store."""
        reference = f"{self.pipeline.name}:PIPELINE"
        return CliRunner().invoke(features, [command, reference, *arguments])

    def ask(self, command: str, *arguments: str, status: int = 0) -> dict[str, Any]:
        done = self.run(command, *arguments, "--json")
        assert done.exit_code == status, (done.output, done.exception)
        figures: dict[str, Any] = json.loads(done.stdout)
        return figures

    @property
    def data(self) -> tuple[str, str]:
        return "--data", str(self.file)

    def logs(self) -> dict[bytes, object]:
        """Every log of the pipeline as the store holds it."""
        keys = self.store.scan_iter(f"hr1:*{self.pipeline.name}*")
        return {key: self.store.get(key) for key in keys}

    def offline(self) -> np.ndarray:
        return compute(
            self.pipeline.features,
            self.history.events_facts(),
            self.history.labels_facts(),
            self.history.label_known_at_ms,
        )


@pytest.fixture
def case(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Iterator[Case]:
    name = f"p{uuid.uuid4().hex[:10]}"
    (tmp_path / f"{name}.py").write_text(
        "from dataclasses import replace\nfrom streams.pipelines.fraud import PIPELINE as FRAUD\n"
        f"{getattr(request, 'param', '')}\nPIPELINE = replace(FRAUD, name={name!r})\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for setting, value in (
        ("STORE__URL", valkey_url),
        ("KAFKA__BOOTSTRAP", "127.0.0.1:1"),
        ("TRITON__URL", "127.0.0.1:1"),
        ("MODEL_REPOSITORY", str(tmp_path)),
    ):
        monkeypatch.setenv(f"HEADRACE_{setting}", value)
    functions = RedisStore(RedisSettings(url=valkey_url, namespace="any:0"))
    functions.deploy_functions()
    functions.close()
    pipeline: Pipeline = importlib.import_module(name).PIPELINE
    simulated = simulate(SimulatorConfig(days=45, customers=120, terminals=300))
    history = History.ordered(pipeline, simulated.events, simulated.labels)
    history.write(tmp_path / "payments.parquet")
    client = redis.Redis.from_url(valkey_url)
    yield Case(pipeline, tmp_path / "payments.parquet", history, client)
    client.close()
    sys.modules.pop(name, None)


def customers(case: Case) -> np.ndarray:
    return np.array(case.history.events.column("customer_id").to_pylist())


def test_a_backfill_holds_the_features_of_every_event_in_its_range(case: Case) -> None:
    out = case.file.with_name("features.parquet")
    range_of = ("--from", "2026-02-01", "--to", "2026-02-05")
    figures = case.ask("backfill", *case.data, "--out", str(out), *range_of)
    times = case.history.event_times_ms
    midnight = times[0] // DAY_MS * DAY_MS
    first, last = np.searchsorted(times, [midnight + 31 * DAY_MS, midnight + 35 * DAY_MS])
    table = pq.read_table(out)
    assert table.column_names == ["id", "event_time", *case.pipeline.features.names]
    assert str(table.schema.field("event_time").type) == "timestamp[ms, tz=UTC]"
    assert table["id"].to_pylist() == case.history.event_ids[first:last]
    assert table["event_time"].cast("int64").to_pylist() == times[first:last].tolist()
    values = np.stack([table[n].to_numpy() for n in case.pipeline.features.names], axis=1)
    np.testing.assert_array_equal(values, case.offline()[first:last])
    assert figures["rows"] == len(table) > 300
    fingerprint = table.schema.metadata[b"headrace.feature_fingerprint"].decode()
    assert fingerprint == figures["feature_fingerprint"] == case.pipeline.features.fingerprint()
    assert not list(out.parent.glob("*.part"))


def test_a_backfill_that_cannot_be_written_leaves_nothing(case: Case) -> None:
    blocked = case.file.with_name("blocked")
    blocked.mkdir()
    (blocked / "features.parquet.part").mkdir()
    done = case.run("backfill", *case.data, "--out", str(blocked / "features.parquet"))
    assert isinstance(done.exception, DataFileError)
    assert not (blocked / "features.parquet").exists()


@pytest.mark.parametrize("range_of", [(), ("--from", "2026-02-01", "--max-events", "700")])
def test_both_paths_agree_and_nothing_is_left_in_the_store(
    case: Case, range_of: tuple[str, ...]
) -> None:
    before = set(case.store.keys("hr1:{parity-*"))
    figures = case.ask("parity", *case.data, *range_of)
    events = 700 if range_of else len(case.history)
    assert figures["events"] == events
    assert figures["labels"] > 0
    assert (figures["history_entries"] > 0) == bool(range_of)
    assert figures["values_compared"] == events * len(case.pipeline.features.names)
    assert figures["values_differing"] == figures["max_abs_difference"] == 0
    assert figures["by_feature"] == dict.fromkeys(case.pipeline.features.names, 0)
    assert set(case.store.keys("hr1:{parity-*")) <= before
    assert case.logs() == {}


@pytest.mark.parametrize("case", [HOURLY_LABELS], indirect=True)
def test_labels_of_the_same_micro_batch_are_named_as_the_reason(case: Case) -> None:
    figures = case.ask("parity", *case.data, status=1)
    assert figures["values_differing"] == figures["by_feature"]["risk"] > 0
    assert figures["by_feature"]["seen"] == 0
    assert figures["by_reason"] == {LABEL_IN_BATCH: figures["values_differing"]}
    assert 0 < len(figures["differences"]) <= 20
    first = figures["differences"][0]
    row = case.history.event_ids.index(first["id"])
    assert first["offline"] == case.offline()[row, 0] < first["online"]
    text = case.run("parity", *case.data)
    assert text.exit_code == 1
    assert f"{figures['values_differing']:,} differ" in text.output
    assert LABEL_IN_BATCH in text.output


def test_what_is_shown_is_what_the_offline_path_says_and_changes_nothing(case: Case) -> None:
    last_day = case.history.event_times_ms >= case.history.event_times_ms[-1] // DAY_MS * DAY_MS
    who, times_seen = np.unique(customers(case)[last_day], return_counts=True)
    who = who[times_seen.argmax()]
    rows = np.flatnonzero((customers(case) == who) & last_day)
    assert len(rows) > 1
    loaded = case.ask("load", *case.data, "--to", "2026-02-15")
    assert loaded["entries_new"] > len(case.history)
    before = case.logs()
    offline, times = case.offline(), case.history.event_times_ms
    names = [n for n in case.pipeline.features.names if n.startswith("customer")]
    columns = [case.pipeline.features.names.index(n) for n in names]
    for row in rows[-1], rows[0]:
        newest = () if row == rows[-1] else ("--as-of", _moment(int(times[row])))
        seen = case.ask("show", f"customer={who}", *newest)
        assert seen["as_of_ms"] == times[row]
        assert list(seen["values"]) == names
        assert list(seen["values"].values()) == offline[row, columns].tolist()
        last = seen["entries"][-1]
        assert (last["time_ms"], last["source"]) == (times[row], "events")
        assert set(seen["reaching_beyond"]) <= {"customer_nb_tx_30d", "customer_avg_amount_30d"}
        counted = [e for e in seen["entries"] if "customer_nb_tx_7d" in e["features"]]
        assert len(counted) == seen["values"]["customer_nb_tx_7d"]
        paid = sum(e["values"]["amount"] for e in counted) / len(counted)
        assert paid == pytest.approx(seen["values"]["customer_avg_amount_7d"])
    past = case.ask("show", f"customer={who}", "--as-of", "2026-01-16")
    assert "customer_nb_tx_7d" in past["reaching_beyond"]
    text = case.run("show", f"customer={who}", "--entries", "2").output
    assert "customer_nb_tx_30d" in text
    assert "earlier entries" in text
    assert case.logs() == before


def _moment(time_ms: int) -> str:
    return f"{np.datetime64(time_ms, 'ms')}"


def test_what_is_not_there_is_said(case: Case) -> None:
    for instance, said in (
        ("shop=1", "choose among customer, terminal"),
        ("customer=nobody", "holds nothing of customer 'nobody'"),
    ):
        done = case.run("show", instance)
        assert isinstance(done.exception, DeployError)
        assert said in str(done.exception)
    assert "like customer=596" in case.run("show", "customer").output
    assert case.logs() == {}
