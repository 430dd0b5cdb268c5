import io

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, generate_latest
from rich.console import Console

from deploy.metrics import MonitorMetrics, WorkerMetrics
from deploy.metrics.worker import LATENCY_BOUNDS_S
from deploy.running import RunningProcess
from deploy.watch import WatchOptions, watch
from deploy.watch.reading import Change, Reading, quantile, read
from deploy.watch.view import spark, view
from online_learning.alerts import Alert, Evidence
from online_learning.prequential import ModelMetrics, WindowMetrics
from online_learning.snapshots import MonitorSnapshot, SubjectDrift

FEATURES = ("amount", "customer_avg_amount_30d")


class Process:
    """A worker and monitor in one, whose /metrics is read without a network."""

    def __init__(self, pid: int) -> None:
        self.registry = CollectorRegistry()
        self.worker = WorkerMetrics(self.registry, pipeline="fraud", features=FEATURES)
        self.monitor = MonitorMetrics(self.registry, pipeline="fraud")
        self.running = RunningProcess(pid, "worker", "fraud", f"http://{pid}/metrics", 0)

    def work(self, events: int, seconds: float) -> None:
        rng = np.random.default_rng(1)
        self.worker.batch(events, {"store": 0.002, "total": np.full(events, seconds)})
        self.worker.predictions(
            rng.beta(0.3, 5, events), positives=3, newest_event_time_ms=1_525_132_800_000
        )


class Machine:
    """Time and the processes that run on it."""

    def __init__(self, *processes: Process) -> None:
        self.processes = list(processes)
        self.now_s = 100.0
        self.silent: set[int] = set()

    def fetch(self, url: str) -> str:
        process = next(p for p in self.processes if p.running.metrics_url == url)
        if process.running.pid in self.silent:
            raise TimeoutError("no answer")
        return generate_latest(process.registry).decode()

    def read(self) -> Reading:
        return read([p.running for p in self.processes], lambda: self.now_s, self.fetch)


@pytest.mark.parametrize("q", [0.1, 0.5, 0.99])
def test_a_quantile_of_buckets_is_within_its_bucket(q: float) -> None:
    seed = 5
    values = np.random.default_rng(seed).lognormal(-5, 1, 5_000)
    bounds = [*LATENCY_BOUNDS_S, float("inf")]
    buckets = [(bound, float((values <= bound).sum())) for bound in bounds]
    exact = float(np.quantile(values, q))
    at = int(np.searchsorted(bounds, exact))
    found = quantile(buckets, q)
    assert found is not None
    assert bounds[at - 1] <= found <= bounds[at], f"seed {seed}"
    assert quantile([(0.1, 0.0), (float("inf"), 0.0)], q) is None
    assert quantile([(0.1, 0.0), (float("inf"), 5.0)], q) == 0.1


def test_rates_add_up_over_processes_and_survive_their_comings_and_goings() -> None:
    stays, leaves, joins = Process(1), Process(2), Process(3)
    machine = Machine(stays, leaves)
    stays.work(1_000, 0.01)
    leaves.work(5_000, 0.01)
    before = machine.read()
    machine.now_s += 2.0
    stays.work(300, 0.01)
    joins.work(100, 0.01)
    machine.processes = [stays, joins]
    change = Change(before, machine.read())
    assert change.rate("headrace_events_total") == 200.0
    assert change.buckets("headrace_stage_seconds", stage="total")[-1][1] == 400.0


def test_a_process_that_was_silent_does_not_look_like_a_jump() -> None:
    process = Process(1)
    machine = Machine(process)
    process.work(1_000_000, 0.01)
    machine.silent = {1}
    before = machine.read()
    machine.silent = set()
    machine.now_s += 1.0
    now = machine.read()
    assert [p.pid for p in before.silent] == [1]
    assert Change(before, now).rate("headrace_events_total") == 0.0


def drawn(change: Change, width: int, height: int = 24) -> str:
    console = Console(width=width, height=height, file=io.StringIO(), color_system=None)
    with console.capture() as capture:
        console.print(view("fraud", change, width, 1_600_000_000.0))
    return capture.get()


def alert(subject: str) -> Alert:
    evidence = Evidence("psi", 0.4, 0.2, 1.0, 2.0, None, None, [], [])
    since_ms = 1_525_132_800_000
    return Alert(
        subject, "fraud", "feature_drift", subject, "raised", "warning", since_ms, 0, 0, 0, evidence
    )


def snapshot() -> MonitorSnapshot:
    models = [
        ModelMetrics(name, auc, None, None, 0.6, 0.03, 0.0, 1.0, 0.1, 0.9, None, None)
        for name, auc in (("champion", 0.871), ("logistic", 0.8), ("majority", 0.5), ("none", 0.5))
    ]
    return MonitorSnapshot(
        pipeline="fraud",
        event_time_ms=None,
        outcome_time_ms=None,
        join={},
        window=WindowMetrics(0, 1, 10, 5, 0.5, 7_000.0, False, models),
        history=[],
        learners=[],
        drift=[
            SubjectDrift("feature_drift", "amount", 1, 0.41, 0.2, 1.0, 2.0, True),
            SubjectDrift("score_drift", "score", 1, 0.02, 0.2, 1.0, 2.0, False),
            *(
                SubjectDrift("feature_drift", f"f{n}", 1, 0.01, 0.2, 1.0, 2.0, False)
                for n in range(12)
            ),
        ],
        open_alerts=[alert(name) for name in ("amount", *(f"feature_{n}" for n in range(12)))],
        recent_alerts=[],
    )


def busy() -> Change:
    process = Process(1)
    process.worker.scorer(model_version=1, breaker_open=True)
    process.monitor.update(snapshot())
    machine = Machine(process)
    before = machine.read()
    machine.now_s += 1.0
    process.work(4_000, 0.0123)
    process.worker.dead_letter("decode", "not_json", 7)
    return Change(before, machine.read())


def test_the_view_fits_a_small_terminal_and_says_what_matters() -> None:
    text = drawn(busy(), 80)
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) <= 24
    for said in (
        "4,000/s",
        "dead letters 7",
        "breaker open",
        "amount",
        "0.410",
        "champion",
        "0.8710",
        "13 active",
        "since 2018-05-01 00:00",
        "and 9 more",
    ):
        assert said in text, said


@pytest.mark.parametrize("width", [40, 60, 200])
def test_the_view_never_overflows(width: int) -> None:
    assert max(map(len, drawn(busy(), width).splitlines())) <= width


def test_an_idle_worker_shows_dashes_and_no_figures() -> None:
    machine = Machine(Process(1))
    before = machine.read()
    machine.now_s += 1.0
    text = drawn(Change(before, machine.read()), 80)
    assert "batch idle" in text
    assert "none lately" in text
    assert "no labels yet" in text
    assert "none active" in text


def test_spark_shows_small_counts_beside_large_ones() -> None:
    assert spark([0, 1, 100_000]) == " ▁█"
    assert spark([0, 0]) == "  "


@pytest.mark.parametrize("terminal", [True, False])
def test_once_says_when_nothing_runs(terminal: bool) -> None:
    console = Console(width=80, file=io.StringIO(), force_terminal=terminal)
    with console.capture() as capture:
        ran = watch("fraud", list, console, WatchOptions(once=True), sleep=lambda _: None)
    assert not ran
    assert "headrace worker fraud" in capture.get()
