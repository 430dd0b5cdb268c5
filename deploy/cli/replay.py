"""`headrace replay`: data files through a pipeline's topics."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.cli.moments import MOMENT, shown

if TYPE_CHECKING:
    from types import FrameType

    from deploy.stack.layout import Layout
    from streams.pipeline import Pipeline
    from streams.replay import Pace
    from streams.replay_plan import ReplayPlan
    from streams.replay_progress import ReplaySummary, ReplayTick
    from streams.transport.settings import TransportSettings

DEFAULT_EVENTS_PER_S = 1_000.0
BEHIND_WARNING_MS = 100.0


@click.command()
@click.argument("pipeline")
@click.option(
    "--data",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="Parquet, CSV or JSON lines; may be given more than once.",
)
@click.option("--from", "from_ms", type=MOMENT, help="First event time (UTC).")
@click.option("--to", "to_ms", type=MOMENT, help="Before this event time (UTC).")
@click.option("--rate", type=click.FloatRange(min=0), help="Events a second [1000]; 0: no limit.")
@click.option("--speed", type=click.FloatRange(min=0, min_open=True), help="Times real event time.")
@click.option("--max-events", type=click.IntRange(min=1), help="Send no more events than this.")
@click.option("--no-labels", is_flag=True, help="Send events only.")
@click.option("--labels-until-end", is_flag=True, help="No labels known after the last event.")
@click.option("--resume", is_flag=True, help="Go on where the same replay was stopped.")
@click.option("--bootstrap", help="host:port of the brokers (default: settings, local stack).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Figures as JSON.")
def replay(
    pipeline: str,
    files: tuple[Path, ...],
    rate: float | None,
    speed: float | None,
    resume: bool,
    bootstrap: str | None,
    json_file: Path | None,
    **choice: Any,
) -> None:
    """Send the events and labels of data files through PIPELINE's topics.

    Each label is sent when it became known, in event time; labels of events before --from that
    became known later are sent too. The schedule is fixed beforehand and waits for nobody: what
    cannot keep up shows as latency. Ctrl-C ends in order, and the same command with --resume goes
    on from there.
    """
    from deploy.stack.layout import Layout
    from streams.pipeline import load_pipeline
    from streams.replay import Pace

    if rate is not None and speed is not None:
        raise click.UsageError("--rate and --speed exclude each other")
    even = DEFAULT_EVENTS_PER_S if rate is None else rate
    pace = Pace(speed=speed) if speed else Pace(events_per_s=even or None)
    plan = _plan(load_pipeline(pipeline), files, **choice)
    layout = Layout.discover()
    summary = _run(plan, pace, layout, _transport(bootstrap, layout), resume=resume)
    _show(summary, pace)
    if json_file:
        json_file.write_text(json.dumps(summary.to_json(), indent=2) + "\n")
    if not summary.finished:
        click.echo("stopped before the end: the same command with --resume goes on", err=True)
        raise SystemExit(130)


def _plan(
    pipeline: Pipeline,
    files: tuple[Path, ...],
    *,
    from_ms: int | None,
    to_ms: int | None,
    max_events: int | None,
    no_labels: bool,
    labels_until_end: bool,
) -> ReplayPlan:
    from streams.replay_plan import ReplayPlan

    return ReplayPlan(
        pipeline=pipeline,
        files=files,
        from_ms=from_ms,
        to_ms=to_ms,
        max_events=max_events,
        labels=not no_labels,
        labels_after_end=not labels_until_end,
    )


def _transport(bootstrap: str | None, layout: Layout) -> TransportSettings:
    from deploy.endpoints import transport_settings
    from deploy.settings import load_settings
    from deploy.stack.addresses import load_stack

    settings = load_settings({"kafka": {"bootstrap": bootstrap}} if bootstrap else None)
    if not settings.kafka.bootstrap:
        local = {"bootstrap": load_stack(layout).kafka_bootstrap}
        settings = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=local)})
    return transport_settings(settings, group="headrace-replay", client="headrace-replay")


def _run(
    plan: ReplayPlan, pace: Pace, layout: Layout, transport: TransportSettings, *, resume: bool
) -> ReplaySummary:
    from deploy.bootstrap import topic_spec
    from streams.replay import Replayer
    from streams.replay_progress import Checkpoint
    from streams.transport.producer import BatchProducer
    from streams.transport.topics import ensure_topics

    events = plan.events()
    topics = [topic_spec(plan.pipeline, kind) for kind in ("events", "labels")]
    ensure_topics(transport, topics, deadline_s=5.0)
    checkpoint = Checkpoint(layout.state / "replays" / f"{plan.fingerprint()}.json")
    producer = BatchProducer(transport)
    with _stop_on_signal() as stopped, _progress_bar(events) as on_tick:
        replayer = Replayer(plan.pipeline, producer, stopped=stopped, on_tick=on_tick)
        try:
            return replayer.run(
                plan.stretches(),
                pace,
                checkpoint=checkpoint,
                skip=checkpoint.load() if resume else 0,
            )
        finally:
            producer.close(deadline_s=5.0)


@contextmanager
def _stop_on_signal() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C or SIGTERM asks to stop; a second one ends at once."""
    asked = False
    numbers = (signal.SIGINT, signal.SIGTERM)

    def ask(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        del number, frame
        asked = True
        for n in numbers:
            signal.signal(n, before[n])

    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _progress_bar(events: int) -> Iterator[Callable[[ReplayTick], None]]:
    """A bar on a terminal; elsewhere nothing."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(stderr=True)
    columns = (
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:,.0f}/s  {task.fields[at]}  {task.fields[behind]}"),
    )
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=events, rate=0.0, at="", behind="")

        def on_tick(tick: ReplayTick) -> None:
            late = tick.behind_schedule_ms
            progress.update(
                task,
                completed=tick.events_sent,
                rate=tick.events_sent / tick.elapsed_s,
                at=shown(tick.event_time_ms),
                behind=f"[red]{late / 1000:.1f} s behind" if late > BEHIND_WARNING_MS else "",
            )

        yield on_tick


def _show(summary: ReplaySummary, pace: Pace) -> None:
    first, last = summary.event_time_first_ms, summary.event_time_last_ms
    rows = {
        "events sent": f"{summary.events_sent:,}",
        "labels sent": f"{summary.labels_sent:,}",
        "duration": f"{summary.duration_s:.1f} s",
        "events a second": f"{summary.events_per_s:,.0f}",
        "event time": f"{shown(first)} to {shown(last)}" if first and last else "no event",
    }
    if pace.events_per_s or pace.speed:
        rows["behind schedule, at most"] = f"{summary.behind_schedule_ms_max:.0f} ms"
    for name, value in rows.items():
        click.echo(f"  {name:<26}{value}")
    if summary.behind_schedule_ms_max > BEHIND_WARNING_MS:
        click.echo(
            "the sender fell behind its own schedule, so latencies look better than they were: "
            "replay at a lower --rate, or give this machine more room",
            err=True,
        )
