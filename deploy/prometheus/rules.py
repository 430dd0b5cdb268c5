"""Service levels and alerts, and `rules.yaml` as it follows from them.

    python -m deploy.prometheus.rules > deploy/prometheus/rules.yaml

Burn rates follow the SRE workbook ("Alerting on SLOs", multi-window, multi-burn-rate): a short
window beside each long one ends the alert soon after the cause is gone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

RUNBOOKS = "docs/operating/runbooks.md"

HEADER = """\
# Made by `python -m deploy.prometheus.rules`; change that, not this.
groups:
"""


@dataclass(frozen=True, slots=True)
class Burn:
    """How fast the error budget burns, over which two windows, and whom that wakes."""

    factor: float
    long: str
    short: str
    severity: str


@dataclass(frozen=True, slots=True)
class LatencyObjective:
    """Of all events, `share` have their prediction within `within_s`, over `days` days.

    `within_s` must be a bucket bound of `headrace_stage_seconds`.
    """

    share: float
    within_s: float
    days: int


@dataclass(frozen=True, slots=True)
class Rule:
    """A plain alert: PromQL that gives a series while something is wrong."""

    alert: str
    expr: str
    hold: str
    severity: str
    summary: str


LATENCY = LatencyObjective(share=0.99, within_s=0.1, days=30)
BURNS = (
    Burn(14.4, "1h", "5m", "page"),
    Burn(6, "6h", "30m", "page"),
    Burn(3, "1d", "2h", "ticket"),
    Burn(1, "3d", "6h", "ticket"),
)
BURN_ALERT = "HeadraceLatencyBudgetBurn"

RULES = (
    Rule(
        "HeadraceProcessDown",
        'up{job=~"headrace-.*"} == 0',
        "1m",
        "page",
        "{{ $labels.job }} at {{ $labels.instance }} does not answer.",
    ),
    Rule(
        "HeadraceWorkerStalled",
        "headrace_transport_seconds_since_progress > 60 and on (instance) "
        "sum by (instance) (headrace_transport_lag_records) > 0",
        "1m",
        "page",
        "{{ $labels.instance }} has records to process and has finished none for a minute.",
    ),
    Rule(
        "HeadraceFallingBehind",
        "max by (pipeline) (headrace_lag_seconds) > 60",
        "5m",
        "page",
        "{{ $labels.pipeline }} is {{ $value | humanizeDuration }} behind its events.",
    ),
    Rule(
        "HeadraceDeadLetters",
        "sum by (pipeline) (rate(headrace_dead_letters_total[10m])) "
        "> 0.01 * sum by (pipeline) (rate(headrace_events_total[10m]))",
        "10m",
        "ticket",
        "More than 1% of the records of {{ $labels.pipeline }} become dead letters.",
    ),
    Rule(
        "HeadraceDegraded",
        "sum by (pipeline) (rate(headrace_degraded_total[5m])) "
        "> 0.01 * sum by (pipeline) (rate(headrace_predictions_total[5m]))",
        "5m",
        "ticket",
        "More than 1% of the predictions of {{ $labels.pipeline }} are degraded.",
    ),
    Rule(
        "HeadraceDrift",
        "headrace_alert_active > 0",
        "0m",
        "ticket",
        "{{ $labels.kind }} of {{ $labels.subject }} in {{ $labels.pipeline }}, "
        "effect {{ $value | printf `%.2f` }}.",
    ),
    Rule(
        "HeadraceLearnerShedding",
        "rate(headrace_monitor_shed_total[1h]) > 0.5 * rate(headrace_monitor_learned_total[1h])",
        "1h",
        "ticket",
        "The challenger of {{ $labels.pipeline }} skips a third of its examples or more.",
    ),
)


def alert_names() -> list[str]:
    """Every alert there is: each has a heading in the runbooks."""
    return [BURN_ALERT, *(rule.alert for rule in RULES)]


def rules_yaml() -> str:
    """The rule file's text."""
    return "".join((HEADER, *_recorded(), *_burns(), *_alerts()))


def _windows() -> list[str]:
    return list(dict.fromkeys(w for burn in BURNS for w in (burn.short, burn.long)))


def _recorded() -> Iterator[str]:
    """The share of events that were too slow, once for each window."""
    yield "  - name: headrace-latency-objective\n    rules:\n"
    for window in _windows():
        slow = _sum("bucket", f'stage="total", le="{LATENCY.within_s}"', window)
        every = _sum("count", 'stage="total"', window)
        yield (
            f"      - record: headrace:slow_events:ratio_rate{window}\n"
            f"        expr: >-\n          1 - {slow}\n          / {every}\n"
        )


def _sum(part: str, labels: str, window: str) -> str:
    return f"sum by (pipeline) (rate(headrace_stage_seconds_{part}{{{labels}}}[{window}]))"


def _burns() -> Iterator[str]:
    budget = round(1 - LATENCY.share, 6)
    yield "  - name: headrace-latency-burn\n    rules:\n"
    for burn in BURNS:
        slow = "headrace:slow_events:ratio_rate"
        threshold = f"{burn.factor:g} * {budget:g}"
        yield _alert(
            BURN_ALERT,
            f"{slow}{burn.long} > {threshold} and {slow}{burn.short} > {threshold}",
            "2m",
            burn.severity,
            f"{{{{ $labels.pipeline }}}} uses up its {LATENCY.days}-day latency budget "
            f"{burn.factor:g} times too fast ({LATENCY.share:.0%} within "
            f"{LATENCY.within_s * 1000:g} ms).",
            f'\n          window: "{burn.long}"',
        )


def _alerts() -> Iterator[str]:
    yield "  - name: headrace-alerts\n    rules:\n"
    for rule in RULES:
        yield _alert(rule.alert, rule.expr, rule.hold, rule.severity, rule.summary)


def _alert(name: str, expr: str, hold: str, severity: str, summary: str, labels: str = "") -> str:
    return (
        f"      - alert: {name}\n"
        f"        expr: >-\n          {expr}\n"
        f"        for: {hold}\n"
        f"        labels:\n          severity: {severity}{labels}\n"
        f"        annotations:\n"
        f'          summary: "{summary}"\n'
        f'          runbook: "{RUNBOOKS}#{name.lower()}"\n'
    )


if __name__ == "__main__":
    sys.stdout.write(rules_yaml())
