import json
import threading
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.parser import text_string_to_metric_families

from deploy.errors import DeployError
from deploy.metrics import BatchHistogram, MonitorMetrics, WorkerMetrics, serve_metrics
from deploy.metrics.histogram import MAX_SERIES
from deploy.metrics.worker import MAX_REASONS
from online_learning.alerts import Alert, Evidence
from online_learning.prequential import ModelMetrics, WindowMetrics
from online_learning.snapshots import LearnerProgress, MonitorSnapshot, SubjectDrift


def samples(registry: CollectorRegistry, name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for family in registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def test_a_batch_counts_like_as_many_single_observations() -> None:
    seed = 7
    values = np.random.default_rng(seed).choice([0.0, 0.5, 1.0, 1.5, 2.0, 9.0], 500)
    batch, single = CollectorRegistry(), CollectorRegistry()
    ours = BatchHistogram("x", "x", labels=("a",), bounds=(0.5, 1.0, 2.0), registry=batch)
    theirs = Histogram("x", "x", ["a"], buckets=(0.5, 1.0, 2.0), registry=single)
    ours.observe_many(("v",), values)
    ours.observe(("v",), 1.0, weight=3)
    for value in [*values, 1.0, 1.0, 1.0]:
        theirs.labels("v").observe(value)
    assert samples(batch, "x_bucket") == samples(single, "x_bucket"), f"seed {seed}"
    assert samples(batch, "x_sum") == pytest.approx(samples(single, "x_sum"))
    assert samples(batch, "x_count") == samples(single, "x_count")


def test_a_histogram_refuses_a_label_without_bound() -> None:
    histogram = BatchHistogram("x", "x", labels=("a",), bounds=(1.0,), registry=CollectorRegistry())
    for at in range(MAX_SERIES):
        histogram.observe((str(at),), 0.5)
    with pytest.raises(ValueError, match="more than"):
        histogram.observe(("one too many",), 0.5)


def test_two_histograms_of_one_name_are_refused() -> None:
    registry = CollectorRegistry()
    BatchHistogram("x", "x", labels=(), bounds=(1.0,), registry=registry)
    with pytest.raises(ValueError, match="Duplicated"):
        BatchHistogram("x", "x", labels=(), bounds=(1.0,), registry=registry)


def test_batch_stages_count_once_for_each_event() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, pipeline="fraud", features=("amount",))
    metrics.batch(4, {"store": 0.002, "broker": np.array([0.001, -0.5, 0.003, 0.004])})
    counts = samples(registry, "headrace_stage_seconds_count")
    assert counts == {("fraud", "store"): 4, ("fraud", "broker"): 4}
    sums = samples(registry, "headrace_stage_seconds_sum")
    assert sums[("fraud", "store")] == pytest.approx(0.008)
    assert sums[("fraud", "broker")] == pytest.approx(0.008), "a negative time counts as none"
    assert samples(registry, "headrace_events_total") == {("fraud",): 4}
    with pytest.raises(ValueError, match="unknown stage"):
        metrics.batch(1, {"lunch": 1.0})


def test_reasons_of_dead_letters_are_bounded() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, pipeline="fraud", features=())
    for at in range(MAX_REASONS + 20):
        metrics.dead_letter("decode", f"reason {at}")
    found = samples(registry, "headrace_dead_letters_total")
    assert len(found) == MAX_REASONS + 1
    assert found[("fraud", "other", "other")] == 20


def test_only_features_with_nulls_are_counted() -> None:
    registry = CollectorRegistry()
    metrics = WorkerMetrics(registry, pipeline="fraud", features=("a", "b"))
    metrics.features(np.array([[1.0, np.nan], [2.0, np.nan]]))
    assert samples(registry, "headrace_feature_nulls_total") == {("fraud", "b"): 2}


def champion(auc: float | None, log_loss: float) -> ModelMetrics:
    return ModelMetrics(
        "champion",
        auc,
        None,
        None,
        None,
        log_loss,
        0.0,
        1.0,
        brier=0.1,
        accuracy=0.9,
        precision=None,
        recall=None,
    )


def alert() -> Alert:
    evidence = Evidence("psi", 0.4, 0.2, 1.0, 2.0, None, None, [], [])
    return Alert(
        "a", "fraud", "feature_drift", "amount", "raised", "warning", 1_000, 2_000, 3, 3, evidence
    )


def snapshot(
    *models: ModelMetrics, alerts: Sequence[Alert] = (), learned: int = 0
) -> MonitorSnapshot:
    window = WindowMetrics(0, 1, 10, 5, 0.5, 7_000.0, False, list(models)) if models else None
    return MonitorSnapshot(
        pipeline="fraud",
        event_time_ms=None,
        outcome_time_ms=None,
        join={"joined": learned, "labels": 3},
        window=window,
        history=[],
        learners=[LearnerProgress("logistic", learned, 2 * learned)],
        drift=[
            SubjectDrift("feature_drift", "amount", 1, 0.4, 0.2, 1.0, 2.0, True),
            SubjectDrift("error_drift", "log_loss", 1, 0.1, 0.25, 1.0, 2.0, False),
        ],
        open_alerts=list(alerts),
        recent_alerts=[],
    )


def test_a_resolved_alert_and_an_unknown_quality_are_no_longer_shown() -> None:
    registry = CollectorRegistry()
    metrics = MonitorMetrics(registry, pipeline="fraud")
    metrics.update(snapshot(champion(0.8, 0.1), alerts=[alert()]))
    key = ("fraud", "feature_drift", "amount", "warning")
    assert samples(registry, "headrace_alert_active") == {key: 0.4}
    assert samples(registry, "headrace_alert_since_event_time_seconds") == {key: 1.0}
    assert samples(registry, "headrace_label_delay_seconds") == {("fraud",): 7.0}
    metrics.update(snapshot(champion(None, 0.2)))
    assert samples(registry, "headrace_alert_active") == {}
    assert samples(registry, "headrace_prequential_auc") == {}
    assert samples(registry, "headrace_prequential_log_loss") == {("fraud", "champion"): 0.2}


def test_each_kind_of_drift_has_the_metric_of_its_measure() -> None:
    registry = CollectorRegistry()
    MonitorMetrics(registry, pipeline="fraud").update(snapshot())
    assert samples(registry, "headrace_psi") == {("fraud", "amount"): 0.4}
    assert samples(registry, "headrace_loss_rise_ratio") == {("fraud", "log_loss"): 0.1}
    assert samples(registry, "headrace_drift_threshold") == {
        ("fraud", "feature_drift"): 0.2,
        ("fraud", "error_drift"): 0.25,
    }


def test_totals_become_counters_that_grow_by_what_is_new() -> None:
    registry = CollectorRegistry()
    metrics = MonitorMetrics(registry, pipeline="fraud")
    for total in (5, 5, 9):
        metrics.update(snapshot(learned=total))
    assert samples(registry, "headrace_monitor_shed_total") == {("fraud",): 18}
    assert samples(registry, "headrace_monitor_joined_total") == {("fraud",): 9}


def get(url: str, accept: str = "") -> tuple[int, str]:
    request = urllib.request.Request(url, headers={"Accept": accept})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health_are_served_until_closed() -> None:
    registry = CollectorRegistry()
    WorkerMetrics(registry, pipeline="fraud", features=()).batch(2, {"score": 0.001})
    faults: dict[str, str] = {}

    def broken() -> Mapping[str, str]:
        raise RuntimeError("the check is broken")

    with serve_metrics(registry, ready=lambda: faults, live=broken) as server:
        root = server.url.removesuffix("/metrics")
        for accept in ("", "application/openmetrics-text; version=1.0.0"):
            status, text = get(server.url, accept)
            assert status == 200
            assert 'headrace_events_total{pipeline="fraud"} 2.0' in text
        assert list(text_string_to_metric_families(get(server.url)[1]))
        assert get(f"{root}/ready") == (200, "{}")
        faults["store"] = "no answer for 3 s"
        status, text = get(f"{root}/ready")
        assert (status, json.loads(text)) == (503, {"store": "no answer for 3 s"})
        status, text = get(f"{root}/live")
        assert status == 503
        assert "the check is broken" in text
        assert get(f"{root}/secrets")[0] == 404
    with pytest.raises(urllib.error.URLError):
        get(server.url)
    assert not [t for t in threading.enumerate() if t.name == "metrics"]


def test_a_taken_port_is_said_in_plain_words() -> None:
    with serve_metrics(CollectorRegistry()) as server:
        port = int(server.url.split(":")[2].split("/")[0])
        with pytest.raises(DeployError, match="HEADRACE_METRICS__PORT"):
            serve_metrics(CollectorRegistry(), port=port)
