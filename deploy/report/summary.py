"""The figures of a run for machines: the keys of `summary.json`.

Documented in docs/reference/summary.md. The unit is in the key; null means "not measured".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from deploy.report.columns import (
    PUBLISH,
    STAGES,
    Floats,
    Injection,
    Run,
    end_to_end_ms,
    first_copies,
)
from deploy.report.quality import DAY_MS, Labelled, both_classes, labelled, roles
from inference.evaluation import average_precision, card_precision_top_k, log_loss, roc_auc
from online_learning.alerts import Alert

SCHEMA_VERSION = 1
HOUR_MS = 3_600_000
QUANTILES = {"p50": 0.5, "p99": 0.99, "p999": 0.999}

Summary = dict[str, Any]


def summarise(run: Run) -> Summary:
    """Every figure of the run. Nothing is taken from anywhere but its topics."""
    return {
        "schema_version": SCHEMA_VERSION,
        "pipeline": run.pipeline,
        **_counts(run),
        **_flow(run),
        **_quantiles_ms("latency", end_to_end_ms(run)[first_copies(run.predictions)]),
        "stages": _stages(run),
        "quality": {role: _quality(labelled(run, role)) for role in roles(run)},
        "labels": _labels(run),
        "drift": [_found(run, injection) for injection in run.injections],
        "alerts": _alerts(run),
        "not_read_to_the_end": list(run.cut),
    }


def _counts(run: Run) -> Summary:
    predictions, events, dead = run.predictions, run.events, run.dead_letters
    answered = np.union1d(predictions.source, dead.source)
    return {
        "events": len(events.position),
        "predictions": len(np.unique(predictions.source)),
        "dead_letters": sum(dead.count.values()),
        "duplicates": len(predictions) - len(np.unique(predictions.source)),
        "missing": int((~np.isin(events.position, answered)).sum()),
        "late": int(predictions.late.sum()),
        "repeated": int(predictions.repeated.sum()),
        "degraded": int(predictions.degraded.sum()),
        "dead_letters_by_reason": [
            {"topic": topic, "stage": stage, "reason": reason, "count": count}
            for (topic, stage, reason), count in sorted(dead.count.items())
        ],
    }


def _flow(run: Run) -> Summary:
    published = run.predictions.published_at_ms
    if not len(published):
        keys = ("began_at_ms", "ended_at_ms", "duration_s", "events_per_s", "events_per_s_max")
        return dict.fromkeys(keys)
    sent = run.events.timestamp_ms
    began = int(min(sent.min(), published.min()) if len(sent) else published.min())
    ended = int(published.max())
    duration_s = max((ended - began) / 1000, 0.001)
    whole_seconds = np.bincount((published - published.min()) // 1000)
    return {
        "began_at_ms": began,
        "ended_at_ms": ended,
        "duration_s": duration_s,
        "events_per_s": len(published) / duration_s,
        "events_per_s_max": float(whole_seconds.max()),
    }


def _quantiles_ms(name: str, values: Floats) -> Mapping[str, float | None]:
    values = values[np.isfinite(values)]
    if not len(values):
        return dict.fromkeys([f"{name}_{q}_ms" for q in (*QUANTILES, "max", "mean")])
    found = np.quantile(values, list(QUANTILES.values()))
    named = {f"{name}_{q}_ms": float(v) for q, v in zip(QUANTILES, found, strict=True)}
    return {
        **named,
        f"{name}_max_ms": float(values.max()),
        f"{name}_mean_ms": float(values.mean()),
    }


def stage_columns(run: Run) -> dict[str, Floats]:
    """Stage -> float64 [n] milliseconds, one row for the first prediction of each event."""
    rows = first_copies(run.predictions)
    recorded = run.predictions.stages_ms[rows]
    columns = {name: recorded[:, at] for at, name in enumerate(STAGES)}
    columns[PUBLISH] = np.maximum(end_to_end_ms(run)[rows] - recorded.sum(axis=1), 0.0)
    return columns


def _stages(run: Run) -> Summary:
    return {
        stage: {key.removeprefix("_"): v for key, v in _quantiles_ms("", values).items()}
        for stage, values in stage_columns(run).items()
    }


def _quality(rows: Labelled) -> Summary:
    ranked = both_classes(rows.label)
    return {
        "n": len(rows.label),
        "positives": int(rows.label.sum()),
        "auc": roc_auc(rows.score, rows.label) if ranked else None,
        "average_precision": average_precision(rows.score, rows.label) if ranked else None,
        "card_precision_at_100": _card_precision(rows) if ranked else None,
        "log_loss": log_loss(rows.score, rows.label) if len(rows.label) else None,
    }


def _card_precision(rows: Labelled) -> float:
    return card_precision_top_k(
        rows.event_time_ms // DAY_MS, rows.customer, rows.score, rows.label, k=100
    )


def _labels(run: Run) -> Summary:
    outcomes, predicted = run.outcomes, len(np.unique(run.predictions.id_hash))
    if not len(outcomes):
        return {"outcomes": 0, "coverage": None, "delay_mean_h": None}
    delay_ms = (outcomes.known_at_ms - outcomes.event_time_ms).mean()
    return {
        "outcomes": len(outcomes),
        "coverage": len(outcomes) / predicted if predicted else None,
        "delay_mean_h": float(delay_ms) / HOUR_MS,
    }


def _found(run: Run, injection: Injection) -> Summary:
    """Which alert found an injected change: the first one raised after it, on its subjects.

    An alert that was raised before and is still there does not count, however often it is updated.
    """
    fitting = [
        alert
        for alert in raised(run)
        if alert.detected_event_time_ms >= injection.at_ms
        and (not injection.subjects or alert.subject in injection.subjects)
    ]
    first = min(fitting, key=lambda alert: alert.detected_event_time_ms, default=None)
    found_at_ms = first.detected_event_time_ms if first else None
    return {
        "kind": injection.kind,
        "injected_at_ms": injection.at_ms,
        "found_at_ms": found_at_ms,
        "delay_event_time_h": (
            (found_at_ms - injection.at_ms) / HOUR_MS if found_at_ms is not None else None
        ),
        "found_by": first.kind if first else None,
        "subject": first.subject if first else None,
        "alert_id": first.alert_id if first else None,
    }


def _alerts(run: Run) -> Summary:
    newest = latest(run)
    began_ms = min((i.at_ms for i in run.injections), default=None)
    return {
        "raised": len(newest),
        "active": sum(alert.state != "resolved" for alert in newest.values()),
        "before_injection": (
            sum(alert.detected_event_time_ms < began_ms for alert in raised(run))
            if began_ms is not None
            else None
        ),
    }


def raised(run: Run) -> list[Alert]:
    """The first record of each alert, in the order of the topic."""
    first: dict[str, Alert] = {}
    for alert in run.alerts:
        first.setdefault(alert.alert_id, alert)
    return list(first.values())


def latest(run: Run) -> dict[str, Alert]:
    """Alert id -> its newest record."""
    return {alert.alert_id: alert for alert in run.alerts}
