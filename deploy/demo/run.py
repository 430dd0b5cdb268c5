"""The demo, step by step: stack, payments, model, windows, stream, report."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from deploy.bootstrap import READS, feature_store, group_of, prepare
from deploy.demo.processes import DemoProcess, started
from deploy.demo.published import PUBLISHED, handbook_figures
from deploy.demo.scenario import Scenario
from deploy.endpoints import local_settings, transport_settings
from deploy.errors import DeployError
from deploy.loading import load_store
from deploy.report import ReportFiles, collect, write_report
from deploy.settings import Settings
from deploy.stack.layout import Layout
from deploy.stack.stack import bring_up, local_stack
from deploy.training import train_champion
from streams.pipeline import Pipeline
from streams.replay import Pace, Replayer
from streams.replay_progress import ReplaySummary, ReplayTick
from streams.timeline import timeline
from streams.transport.producer import BatchProducer
from streams.transport.reader import read_topic
from streams.transport.topics import group_lag

Say = Callable[[str], None]
HEADRACE = Path(sys.executable).with_name("headrace")
CATCH_UP_S = 120.0
LAG_POLL_S = 0.5


def demo_layout(layout: Layout) -> Layout:
    """A state folder of the demo's own, so that it never touches what `headrace up` holds."""
    return replace(layout, state=layout.state / "demo")


@contextmanager
def fresh_stack(layout: Layout, say: Say) -> Iterator[Settings]:
    """Servers without data while the block runs; whatever an earlier demo left is removed."""
    processes = [DemoProcess(layout, role, "") for role in READS]
    stack = local_stack(layout, say)
    for process in processes:
        process.stop()
    stack.down()
    shutil.rmtree(layout.state, ignore_errors=True)
    try:
        bring_up(layout, say)
        yield local_settings(layout)
    finally:
        stack.down()


def play(
    pipeline: Pipeline,
    reference: str,
    scenario: Scenario,
    settings: Settings,
    layout: Layout,
    *,
    say: Say,
    on_tick: Callable[[ReplayTick], None],
) -> tuple[ReplaySummary, dict[str, Any]]:
    """Train, load the windows, stream, and wait until everything is through.

    Returns what was sent, and figures for summary.json. Raises `ServiceFailed` when the worker or
    the monitor ends by itself, `DeployError` when they do not catch up.
    """
    prepare(pipeline, settings)
    metadata = train_champion(
        pipeline,
        scenario.history,
        settings,
        from_ms=scenario.train_from_ms,
        to_ms=scenario.live_from_ms,
        say=say,
    )
    store = feature_store(pipeline, settings)
    entries = load_store(
        pipeline, scenario.history, store, to_ms=scenario.live_from_ms, progress=lambda *_: None
    )
    store.close()
    say(f"{entries:,} entries of history are in the feature store")
    processes = [DemoProcess(layout, role, reference) for role in READS]
    with started(processes, say):
        say("worker and monitor are ready; watch them live in another terminal:")
        say(f"  HEADRACE_STATE_DIR={_near(layout.state)} {_near(HEADRACE)} watch {reference}")
        sent = _stream(pipeline, scenario, settings, on_tick)
        say(f"sent at {sent.events_per_s:,.0f} events/s; waiting for what is still under way")
        _wait_until_through(pipeline, settings, processes)
    return sent, {
        "training_rows": metadata.rows,
        "history_entries": entries,
        "sent_events": sent.events_sent,
        "sent_labels": sent.labels_sent,
        "sent_events_per_s": sent.events_per_s,
        "behind_schedule_ms_max": sent.behind_schedule_ms_max,
    }


def report(
    pipeline: Pipeline,
    scenario: Scenario,
    settings: Settings,
    layout: Layout,
    figures: dict[str, Any],
) -> ReportFiles:
    """The report of the run, with the published figures beside where the data is theirs."""
    transport = transport_settings(settings, group="headrace-report", client="headrace-report")
    run = collect(
        pipeline, lambda topic: read_topic(transport, topic), injections=scenario.injections
    )
    if scenario.published:
        figures = figures | {
            "handbook": handbook_figures(run, scenario.history),
            "handbook_published": PUBLISHED,
        }
    return write_report(run, layout.reports, extra=figures)


def _near(path: Path) -> str:
    """The path as one would type it here."""
    return os.path.relpath(path) if path.is_relative_to(Path.cwd()) else str(path)


def _stream(
    pipeline: Pipeline,
    scenario: Scenario,
    settings: Settings,
    on_tick: Callable[[ReplayTick], None],
) -> ReplaySummary:
    live = scenario.history.between(scenario.live_from_ms, scenario.live_to_ms)
    transport = transport_settings(settings, group="headrace-demo", client="headrace-demo")
    producer = BatchProducer(transport)
    try:
        replayer = Replayer(pipeline, producer, on_tick=on_tick)
        return replayer.run(timeline(live.pieces()), Pace(events_per_s=scenario.rate))
    finally:
        producer.close(deadline_s=5.0)


def _wait_until_through(
    pipeline: Pipeline, settings: Settings, processes: list[DemoProcess]
) -> None:
    give_up_at = time.monotonic() + CATCH_UP_S
    for process in processes:
        topics = [pipeline.topic(kind) for kind in READS[process.role]]
        transport = transport_settings(
            settings, group=group_of(pipeline, process.role), client="headrace-demo"
        )
        while lag := sum(group_lag(transport, topics).values()):
            process.require_alive()
            if time.monotonic() > give_up_at:
                raise DeployError(
                    f"the {process.role} is still {lag:,} records behind after "
                    f"{CATCH_UP_S:.0f} s: try a lower --rate"
                )
            time.sleep(LAG_POLL_S)
