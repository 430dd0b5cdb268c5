"""What the monitor exposes: how good the predictions are, what drifts, which alerts are active."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

from online_learning.prequential import ModelMetrics
from online_learning.snapshots import MonitorSnapshot

MAX_ACTIVE_ALERTS = 64


class MonitorMetrics:
    """The metrics of one monitor. Model roles and subjects come from the pipeline: few values."""

    def __init__(self, registry: CollectorRegistry, *, pipeline: str) -> None:
        self._pipeline = pipeline
        self._make_quality(registry)
        self._make_drift(registry)
        self._counters: dict[str, Counter] = {
            name: Counter(f"headrace_monitor_{name}", text, ("pipeline",), registry=registry)
            for name, text in COUNTS.items()
        }
        self._seen = dict.fromkeys(COUNTS, 0)
        for counter in self._counters.values():
            counter.labels(pipeline)

    def _make_quality(self, registry: CollectorRegistry) -> None:
        by = ("pipeline", "model")
        self._quality = {
            name: Gauge(f"headrace_prequential_{name}", text, by, registry=registry)
            for name, text in (
                ("auc", "Area under the ROC curve over the sliding event-time window, 0 to 1."),
                ("average_precision", "Average precision over the sliding window, 0 to 1."),
                ("log_loss", "Mean log loss (nats) over the sliding window."),
                ("brier", "Mean squared error of the score over the sliding window."),
                ("accuracy", "Share of right decisions over the sliding window."),
            )
        }
        self._coverage = Gauge(
            "headrace_label_coverage",
            "Share of the predictions whose label could be known by now and is.",
            ("pipeline",),
            registry=registry,
        )
        self._delay = Gauge(
            "headrace_label_delay_seconds",
            "Mean event time from an event until its label was known.",
            ("pipeline",),
            registry=registry,
        )

    def _make_drift(self, registry: CollectorRegistry) -> None:
        self._psi = Gauge(
            "headrace_psi",
            "Population stability index of a feature or of the score against the reference.",
            ("pipeline", "subject"),
            registry=registry,
        )
        self._loss_rise = Gauge(
            "headrace_loss_rise_ratio",
            "Relative rise of the champion's mean log loss against its past; 0.25 is a quarter.",
            ("pipeline", "subject"),
            registry=registry,
        )
        self._threshold = Gauge(
            "headrace_drift_threshold",
            "Effect from which a kind of drift is alerted.",
            ("pipeline", "kind"),
            registry=registry,
        )
        by = ("pipeline", "kind", "subject", "severity")
        self._active = Gauge(
            "headrace_alert_active", "Effect size of an active alert.", by, registry=registry
        )
        self._since = Gauge(
            "headrace_alert_since_event_time_seconds",
            "Event time from which an active alert's change holds, Unix seconds.",
            by,
            registry=registry,
        )

    def update(self, snapshot: MonitorSnapshot) -> None:
        """Show how everything stands now; cheap enough for once a second.

        A figure that the snapshot does not have is no longer shown: an old one would look new.
        """
        window = snapshot.window
        if window is not None:
            for model in window.models:
                self._show_quality(model)
            _show(self._coverage, (self._pipeline,), window.coverage)
            _show(self._delay, (self._pipeline,), window.mean_delay_ms / 1000)
        self._show_drift(snapshot)
        self._show_alerts(snapshot)
        self._count(snapshot.join)
        for learner in snapshot.learners:
            self._count({"learned": learner.learned, "shed": learner.shed})

    def _show_quality(self, model: ModelMetrics) -> None:
        for name, gauge in self._quality.items():
            _show(gauge, (self._pipeline, model.model), getattr(model, name))

    def _show_drift(self, snapshot: MonitorSnapshot) -> None:
        for status in snapshot.drift:
            gauge = self._loss_rise if status.kind == "error_drift" else self._psi
            _show(gauge, (self._pipeline, status.subject), status.effect)
            _show(self._threshold, (self._pipeline, status.kind), status.threshold)

    def _show_alerts(self, snapshot: MonitorSnapshot) -> None:
        self._active.clear()
        self._since.clear()
        for alert in snapshot.open_alerts[:MAX_ACTIVE_ALERTS]:
            labels = (self._pipeline, alert.kind, alert.subject, alert.severity)
            self._active.labels(*labels).set(alert.evidence.effect)
            self._since.labels(*labels).set(alert.since_event_time_ms / 1000)

    def _count(self, totals: Mapping[str, int]) -> None:
        for name in totals.keys() & self._counters.keys():
            grown = totals[name] - self._seen[name]
            self._counters[name].labels(self._pipeline).inc(max(grown, 0))
            self._seen[name] = totals[name]


COUNTS = {
    "joined": "Predictions joined with their label, each once.",
    "corrected_labels": "Labels that corrected an earlier one.",
    "repeated_labels": "Labels that said again what was known.",
    "orphans": "Labels whose event was not predicted within the horizon.",
    "unlabelled": "Predictions that had no label at the horizon.",
    "evicted": "Predictions and labels given up because too many waited.",
    "learned": "Examples the challenger learned from.",
    "shed": "Examples the challenger skipped because it would have fallen behind.",
}


def _show(gauge: Gauge, labels: tuple[str, ...], value: float | None) -> None:
    if value is not None:
        gauge.labels(*labels).set(value)
        return
    try:
        gauge.remove(*labels)
    except KeyError:
        return
