"""Alerts with their evidence: what moved, from what to what, who drives it."""

from __future__ import annotations

from html import escape

import numpy as np

from deploy.report.columns import Floats, Run
from deploy.report.figures.chart import AMBER, SLATE
from deploy.report.summary import latest, raised
from deploy.report.words import event_time, percent
from online_learning.alerts import Alert, Evidence

MAX_CARDS = 12
WIDTH, HEIGHT = 360, 96
MEASURES = {"psi": "PSI", "relative_increase": "loss rose by"}
TONES = {"resolved": "good", "raised": "bad", "updated": "bad"}


def alert_cards(run: Run) -> str:
    """A card for each alert, first raised first; at most `MAX_CARDS`."""
    newest = latest(run)
    first = raised(run)
    if not first:
        return '<p class="note">No alert was raised.</p>'
    shown = "".join(_card(alert, newest[alert.alert_id]) for alert in first[:MAX_CARDS])
    left = len(first) - MAX_CARDS
    more = f'<p class="note">and {left} more in the alerts topic.</p>' if left > 0 else ""
    return f'<div class="alerts">{shown}</div>{more}'


def _card(first: Alert, newest: Alert) -> str:
    evidence = newest.evidence
    facts = {
        "since": f"{event_time(first.since_event_time_ms)} (event time)",
        "found": event_time(first.detected_event_time_ms),
        "effect": f"{MEASURES[evidence.measure]} {evidence.effect:.3g}, "
        f"alerted from {evidence.threshold:g}",
        "mean": _means(evidence),
        "driven by": ", ".join(
            f"{top.key} ({percent(top.share)})" for top in evidence.top_keys[:3]
        ),
        "for example": ", ".join(evidence.example_ids[:3]),
    }
    rows = "".join(
        f"<dt>{name}</dt><dd>{escape(said)}</dd>" for name, said in facts.items() if said
    )
    tone = TONES.get(newest.state, "warn")
    return (
        f'<section class="alert"><header><h3>{escape(first.subject)}</h3>'
        f'<span class="note">{escape(first.kind.replace("_", " "))}</span>'
        f'<span class="badge {tone}">{escape(newest.state)} · {escape(newest.severity)}</span>'
        f"</header><dl>{rows}</dl>{_histogram(evidence)}</section>"
    )


def _means(evidence: Evidence) -> str:
    if evidence.baseline_mean is None or evidence.current_mean is None:
        return ""
    return f"{evidence.baseline_mean:.4g} → {evidence.current_mean:.4g}"


def _histogram(evidence: Evidence) -> str:
    """Reference and current share by bin, as an inline drawing; empty without histograms."""
    if evidence.reference is None or evidence.current is None:
        return ""
    then, now = np.array(evidence.reference.counts), np.array(evidence.current.counts)
    if not then.sum() or not now.sum():
        return ""
    then, now = then / then.sum(), now / now.sum()
    top = max(then.max(), now.max())
    edges = evidence.reference.edges
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="reference and current distribution">'
        f"{_bars(then / top, 0.06, SLATE)}{_bars(now / top, 0.5, AMBER)}</svg>"
        f'<p class="legend"><span class="swatch" style="background:{SLATE}"></span>reference '
        f'&nbsp; <span class="swatch" style="background:{AMBER}"></span>current &nbsp; bins from '
        f"below {edges[0]:.4g} to above {edges[-1]:.4g}</p>"
    )


def _bars(heights: Floats, shift: float, color: str) -> str:
    step = WIDTH / len(heights)
    return "".join(
        f'<rect x="{(at + shift) * step:.1f}" y="{HEIGHT * (1 - height):.1f}" '
        f'width="{0.42 * step:.1f}" height="{HEIGHT * height:.1f}" fill="{color}"/>'
        for at, height in enumerate(heights)
    )
