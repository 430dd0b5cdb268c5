"""What the monitor exposes: how good the predictions are, what drifts, which alerts are active."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge

QUALITIES = ("auc", "average_precision", "log_loss", "brier", "accuracy")
MAX_ACTIVE_ALERTS = 64


@dataclass(frozen=True, slots=True)
class ActiveAlert:
    """An alert that was raised and not yet resolved.

    Attributes
    ----------
    kind, subject:
        What kind of change (`feature_drift`), and of what: a feature's name or a metric's.
    effect_size:
        How large the change is, in the detector's own unit (for PSI: the index).
    since_event_time_ms:
        Event time from which the change holds.
    """

    kind: str
    subject: str
    severity: str
    effect_size: float
    since_event_time_ms: int


class MonitorMetrics:
    """The metrics of one monitor. Model roles and subjects come from the pipeline: few values."""

    def __init__(self, registry: CollectorRegistry, *, pipeline: str) -> None:
        self._pipeline = pipeline
        self._make_quality(registry)
        self._make_drift(registry)
        self._counters: dict[str, Counter] = {
            name: Counter(f"headrace_{name}", text, ("pipeline",), registry=registry)
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
        self._psi_threshold = Gauge(
            "headrace_psi_threshold",
            "Index from which drift is alerted.",
            ("pipeline",),
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

    def quality(self, model: str, values: Mapping[str, float]) -> None:
        """Prequential metrics of a model role (`champion`, `challenger`), by `QUALITIES`.

        What is not in `values` is no longer shown: an old figure would look like a new one.
        """
        for name, gauge in self._quality.items():
            if name in values:
                gauge.labels(self._pipeline, model).set(values[name])
            else:
                _forget(gauge, (self._pipeline, model))

    def labels(self, *, coverage: float, mean_delay_ms: float) -> None:
        """Share of predictions that have their label, and how long labels took."""
        self._coverage.labels(self._pipeline).set(coverage)
        self._delay.labels(self._pipeline).set(mean_delay_ms / 1000)

    def drift(self, psi: Mapping[str, float], *, threshold: float) -> None:
        """Newest stability index of every feature and of the score."""
        for subject, value in psi.items():
            self._psi.labels(self._pipeline, subject).set(value)
        self._psi_threshold.labels(self._pipeline).set(threshold)

    def counts(self, totals: Mapping[str, int]) -> None:
        """Running totals since the monitor began, by the names of `COUNTS`.

        Raises KeyError for a name that is not one of them.
        """
        for name, total in totals.items():
            self._counters[name].labels(self._pipeline).inc(max(0, total - self._seen[name]))
            self._seen[name] = total

    def alerts(self, active: Iterable[ActiveAlert]) -> None:
        """Show exactly these alerts (at most `MAX_ACTIVE_ALERTS`); all others are over."""
        self._active.clear()
        self._since.clear()
        for _, alert in zip(range(MAX_ACTIVE_ALERTS), active, strict=False):
            labels = (self._pipeline, alert.kind, alert.subject, alert.severity)
            self._active.labels(*labels).set(alert.effect_size)
            self._since.labels(*labels).set(alert.since_event_time_ms / 1000)


COUNTS = {
    "outcomes": "Predictions joined with their label, each once.",
    "outcomes_corrected": "Outcomes whose label was later corrected.",
    "labels_repeated": "Labels that said again what was known.",
    "labels_orphaned": "Labels whose event was not predicted within the horizon.",
    "predictions_unlabelled": "Predictions that had no label at the horizon.",
    "learned": "Examples the challenger learned from.",
    "shed": "Examples the challenger skipped because it would have fallen behind.",
    "alerts_raised": "Alerts raised.",
}


def _forget(gauge: Gauge, labels: tuple[str, ...]) -> None:
    try:
        gauge.remove(*labels)
    except KeyError:
        return
