"""The report as one HTML file that needs nothing else: plotly.js, styles and data are inside."""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from string import Template

from plotly.offline import get_plotlyjs

from deploy.report.alert_cards import alert_cards
from deploy.report.columns import Run
from deploy.report.figures import Panel, feature_panel, flow_panels, trust_panels
from deploy.report.summary import Summary
from deploy.report.tables import cards, story, tables
from deploy.report.words import clock_time, event_time


def page(run: Run, summary: Summary, *, written_at_ms: int) -> str:
    """The whole page. `summary` is that of the same run; `written_at_ms` is wall clock."""
    flow, trust, features = flow_panels(run), trust_panels(run), feature_panel(run)
    drawn = [panel for panel in (*flow, *trust, features) if panel.traces]
    sections = [
        _section("How it flowed", _panels(flow)),
        _section("Can it be trusted", _panels([*trust, features])),
        _section("Alerts", alert_cards(run)),
        _section("In figures", tables(summary)),
    ]
    return Template(_asset("page.html")).substitute(
        title=escape(f"{run.pipeline} · Headrace run report"),
        css=_asset("page.css"),
        pipeline=escape(run.pipeline),
        period=escape(_period(run, summary)),
        cards=cards(summary),
        story=story(summary),
        sections="\n".join(sections),
        written=escape(clock_time(written_at_ms)),
        plotly=get_plotlyjs(),
        figures=_figures(drawn),
    )


def _asset(name: str) -> str:
    return files("deploy.report").joinpath("assets", name).read_text(encoding="utf-8")


def _period(run: Run, summary: Summary) -> str:
    if not len(run.predictions):
        return "The predictions topic holds nothing for this period."
    times = run.predictions.event_time_ms
    return (
        f"Events of {event_time(int(times.min()))} to {event_time(int(times.max()))}, "
        f"streamed on {clock_time(summary['began_at_ms'])} "
        f"in {summary['duration_s']:,.0f} s."
    )


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _panels(panels: Sequence[Panel]) -> str:
    return f'<div class="panels">{"".join(_panel(panel) for panel in panels)}</div>'


def _panel(panel: Panel) -> str:
    plot = f'<div id="{panel.key}" style="height:{panel.height}px"></div>' if panel.traces else ""
    kind = "panel wide" if panel.wide else "panel"
    return (
        f'<section class="{kind}"><h3>{escape(panel.title)}</h3>'
        f'<p class="note">{escape(panel.note)}</p>{plot}</section>'
    )


def _figures(panels: Sequence[Panel]) -> str:
    content = [{"key": p.key, "traces": p.traces, "layout": p.layout} for p in panels]
    # A "</script>" inside data (a pipeline may name its features freely) must not end the script.
    return json.dumps(content, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
