"""The monitor as a whole, on a simulated stream of which the truth is known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np
import pytest

from featurizers.definitions import FeatureSet, FieldFeature, Value, WeekendFeature
from online_learning.alerts import Alert
from online_learning.batches import (
    BoolArray,
    FloatArray,
    IntArray,
    LabelBatch,
    Positions,
    ScoredBatch,
)
from online_learning.errors import JoinStoreUnavailable, SpecError
from online_learning.join_store import JoinStore, MemoryJoinStore, Tally
from online_learning.monitor import Monitor, build_monitor
from online_learning.snapshots import MonitorSnapshot
from online_learning.spec import MonitorSpec
from tests.unit.online_learning.batches import DAY_MS, START_MS

FEATURES = FeatureSet(
    entities=(),
    features=(
        FieldFeature("amount", Value("amount", 100)),
        FieldFeature("risk", Value("risk")),
        WeekendFeature("weekend"),
    ),
)
SPEC = MonitorSpec(metrics_window_ms=3 * DAY_MS, learn_per_s=10**6)
PER_DAY = 2_000
DAYS = 16
SHIFT_MS = START_MS + 9 * DAY_MS
DELAY_MS = 2 * DAY_MS


@dataclass
class Stream:
    times: IntArray
    features: FloatArray
    positive: BoolArray
    scores: FloatArray


def champion(features: FloatArray) -> FloatArray:
    logits = -6 + 3 * features[:, 1] + 0.004 * (features[:, 0] - 50)
    scores: FloatArray = 1 / (1 + np.exp(-logits))
    return scores


def stream(seed: int) -> Stream:
    """Amounts, a risk and a weekend flag; the champion knows the true probability."""
    rng = np.random.default_rng(seed)
    n = DAYS * PER_DAY
    times = START_MS + np.sort(rng.integers(0, DAYS * DAY_MS, n))
    weekend = (times // DAY_MS + 3) % 7 >= 5
    features = np.column_stack([rng.lognormal(3.5, 0.6, n), rng.normal(size=n), weekend])
    scores = champion(features)
    return Stream(times, features, rng.random(n) < scores, scores)


def scale_amounts(it: Stream) -> None:
    it.features[it.times >= SHIFT_MS, 0] *= 1.6


def cents(it: Stream) -> None:
    it.features[it.times >= SHIFT_MS, 0] *= 100
    it.scores = champion(it.features)


def swap_concept(it: Stream) -> None:
    late = np.flatnonzero(it.times >= SHIFT_MS)
    it.positive[late] = np.random.default_rng(0).permutation(it.positive[late])


def nothing(it: Stream) -> None:
    pass


def make_monitor(store: JoinStore | None = None) -> Monitor:
    return build_monitor(
        SPEC,
        FEATURES,
        store or MemoryJoinStore(),
        pipeline="fraud",
        threshold=0.5,
        clock=iter(range(10**9)).__next__,
    )


def scored(it: Stream, rows: slice) -> ScoredBatch:
    numbers = np.arange(len(it.times))[rows]
    return ScoredBatch(
        ids=[f"t{i}" for i in numbers],
        keys=[f"c{i % 50}" for i in numbers],
        event_time_ms=it.times[rows],
        scores=it.scores[rows],
        features=it.features[rows],
        model_version=np.ones(len(numbers), dtype=np.int64),
        positions=Positions(numbers % 2, numbers // 2),
    )


def labels(it: Stream, rows: slice) -> LabelBatch:
    numbers = np.arange(len(it.times))[rows]
    return LabelBatch(
        ids=[f"t{i}" for i in numbers],
        event_time_ms=it.times[rows],
        known_at_ms=it.times[rows] + DELAY_MS,
        labels=it.positive[rows].astype(np.float64),
        positions=Positions(numbers % 2, numbers // 2),
    )


def run(monitor: Monitor, it: Stream, *, twice: bool = False) -> list[Alert]:
    """Predictions as they are made, labels as they become known; `twice` reads each batch again."""
    alerts: list[Alert] = []
    told = 0
    for start in range(0, len(it.times), 300):
        rows = slice(start, start + 300)
        for _ in range(1 + twice):
            alerts += monitor.on_predictions(scored(it, rows)).alerts
        known = int(np.searchsorted(it.times + DELAY_MS, it.times[rows][-1], side="right"))
        if known > told:
            for _ in range(1 + twice):
                alerts += monitor.on_labels(labels(it, slice(told, known))).alerts
            told = known
    return alerts


def test_a_clean_stream_raises_nothing_though_weekends_come_and_go() -> None:
    monitor = make_monitor()
    assert run(monitor, stream(seed=1)) == []
    snapshot = monitor.snapshot()
    assert "weekend" not in {d.subject for d in snapshot.drift}
    assert {d.subject for d in snapshot.drift} == {"amount", "risk", "score", "log_loss"}
    assert snapshot.open_alerts == []


@pytest.mark.parametrize(
    ("change", "kind", "subject", "within_days"),
    [
        (scale_amounts, "feature_drift", "amount", 1.5),
        (cents, "feature_drift", "amount", 1.0),
        (cents, "score_drift", "score", 1.0),
        (swap_concept, "error_drift", "log_loss", 2.0 + 1.5),
    ],
)
def test_an_injected_change_is_found_named_and_dated(
    change: Callable[[Stream], None], kind: str, subject: str, within_days: float
) -> None:
    it = stream(seed=2)
    change(it)
    found = {(a.kind, a.subject): a for a in reversed(run(make_monitor(), it))}
    alert = found[kind, subject]  # type: ignore[index]  # a kind by its name
    assert alert.state == "raised"
    assert abs(alert.since_event_time_ms - SHIFT_MS) <= 0.75 * DAY_MS
    assert 0 < alert.detected_event_time_ms - SHIFT_MS <= within_days * DAY_MS
    assert alert.evidence.effect >= alert.evidence.threshold
    assert alert.evidence.top_keys
    assert len(alert.evidence.example_ids) == 5
    assert ("feature_drift", "risk") not in found
    if change is swap_concept:
        assert set(found) == {("error_drift", "log_loss")}


def test_champion_challenger_and_baselines_are_judged_side_by_side() -> None:
    it = stream(seed=3)
    monitor = make_monitor()
    run(monitor, it)
    snapshot = monitor.snapshot()
    assert snapshot.window is not None
    models = {m.model: m for m in snapshot.window.models}
    assert list(models) == ["champion", "river_logistic", "majority", "no_change"]
    aucs = {name: m.auc or 0 for name, m in models.items()}
    assert aucs["champion"] > 0.8
    assert aucs["river_logistic"] > aucs["champion"] - 0.05
    assert aucs["majority"] < 0.6
    assert models["champion"].log_loss < models["majority"].log_loss < models["no_change"].log_loss
    assert snapshot.window.mean_delay_ms == DELAY_MS
    assert snapshot.window.coverage == pytest.approx(1.0, abs=0.02)
    assert len(snapshot.history) > 40
    assert snapshot.learners[0].learned == snapshot.join["joined"]
    assert msgspec.json.decode(msgspec.json.encode(snapshot), type=MonitorSnapshot) == snapshot


def test_a_batch_read_again_changes_nothing() -> None:
    it = stream(seed=4)
    scale_amounts(it)
    once, twice = make_monitor(), make_monitor()
    ids = [[a.alert_id for a in run(m, it, twice=m is twice)] for m in (once, twice)]
    assert ids[0] == ids[1]
    assert once.snapshot().join == twice.snapshot().join
    assert once.snapshot().window == twice.snapshot().window
    assert once.snapshot().learners == twice.snapshot().learners


def test_scores_of_another_model_are_not_drift() -> None:
    it = stream(seed=5)
    monitor = make_monitor()
    late = it.times >= SHIFT_MS
    it.scores[late] = np.sqrt(it.scores[late])
    for start in range(0, len(it.times), 300):
        batch = scored(it, slice(start, start + 300))
        batch.model_version[:] = np.where(batch.event_time_ms >= SHIFT_MS, 2, 1)
        assert monitor.on_predictions(batch).alerts == []


def test_wrong_timestamps_and_values_leave_the_watch_intact() -> None:
    it = stream(seed=6)
    scale_amounts(it)
    rng = np.random.default_rng(0)
    odd = rng.random(len(it.times)) < 0.02
    it.times = it.times.copy()
    it.times[odd] = rng.choice([0, 4_102_444_799_999], odd.sum())
    it.features[::101, 1] = np.nan
    monitor = make_monitor()
    alerts: list[Alert] = []
    for start in range(0, len(it.times), 300):
        alerts += monitor.on_predictions(scored(it, slice(start, start + 300))).alerts
    assert [(a.subject, a.state) for a in alerts] == [("amount", "raised")]


class DownOnce(MemoryJoinStore):
    """A store that cannot be reached once in ten calls."""

    calls = 0

    def tallies(self) -> dict[int, Tally]:
        self.calls += 1
        if self.calls % 10 == 0:
            raise JoinStoreUnavailable("no answer")
        return super().tallies()


def test_a_call_that_failed_is_made_again_without_a_trace() -> None:
    it = stream(seed=7)
    flaky, sound = make_monitor(DownOnce()), make_monitor()
    failures = 0
    for start in range(0, len(it.times), 300):
        batch = scored(it, slice(start, start + 300))
        try:
            flaky.on_predictions(batch)
        except JoinStoreUnavailable:
            failures += 1
            flaky.on_predictions(batch)
        sound.on_predictions(batch)
    assert failures
    assert flaky.snapshot().join == sound.snapshot().join
    assert flaky.snapshot().drift == sound.snapshot().drift


def test_an_empty_batch_is_nothing() -> None:
    monitor, it = make_monitor(), stream(seed=8)
    output = monitor.on_predictions(scored(it, slice(0, 0)))
    assert (len(output.outcomes), output.alerts) == (0, [])
    assert len(monitor.on_labels(labels(it, slice(0, 0))).outcomes) == 0
    assert monitor.snapshot().window is None


def test_every_fault_of_a_spec_is_named() -> None:
    with pytest.raises(SpecError) as error:
        MonitorSpec(reference_ms=DAY_MS // 2, psi_threshold=0, cooldown_ms=-1)
    assert [f.split()[0] for f in error.value.faults] == [
        "reference_ms",
        "psi_threshold",
        "cooldown_ms",
    ]
