"""`headrace demo`: from nothing to a report."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from deploy.cli.moments import shown

if TYPE_CHECKING:
    from rich.console import Console

    from streams.replay_progress import ReplayTick

PIPELINE = "fraud"
EVENTS_PER_S = 4_000.0
LINE_EVERY_S = 5.0


@click.command()
@click.option(
    "--data",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The Fraud Detection Handbook's raw transactions, instead of simulated ones.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=1),
    default=EVENTS_PER_S,
    show_default=True,
    help="Events a second.",
)
@click.option("--seed", default=7, show_default=True, help="Of the simulated payments.")
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path), help="The figures once more, here."
)
def demo(file: Path | None, rate: float, seed: int, json_file: Path | None) -> None:
    """Run everything once: servers, a model, a stream of card payments, and a report of it.

    Starts a Kafka, a Valkey and a Triton of its own, trains on simulated payments, streams 21 days
    of them (some 205,000) through the real path with labels seven days late, and changes the world
    twice meanwhile. With --data it replays the Handbook's own payments and holds its figures beside
    the published ones. Ends with a summary; Ctrl-C stops everything that was started.
    """
    from rich.console import Console

    from deploy.report import print_summary
    from deploy.stack.interrupt import interrupted_once

    console = Console(highlight=False)
    say = _steps(console)
    with interrupted_once(say):
        files = _run(file, rate, seed, say, console)
    console.print()
    print_summary(files.summary, console)
    _print_published(files.summary, console)
    console.print(f"\nreport   {files.page_file}\nfigures  {files.summary_file}", soft_wrap=True)
    if json_file:
        json_file.write_text(json.dumps(files.summary, indent=2, allow_nan=False) + "\n")


def _run(
    file: Path | None, rate: float, seed: int, say: Callable[[str], None], console: Console
) -> Any:
    from deploy.demo.run import demo_layout, fresh_stack, play, report
    from deploy.demo.scenario import recorded, simulated
    from deploy.stack.layout import Layout
    from streams.pipeline import load_pipeline

    layout = Layout.discover()
    own = demo_layout(layout)
    pipeline = load_pipeline(PIPELINE)
    with fresh_stack(own, say) as settings:
        if file is None:
            say("simulating 66 days of card payments")
            scenario = simulated(pipeline, seed=seed, rate=rate)
        else:
            say(f"reading {file}")
            scenario = recorded(pipeline, file, rate=rate, say=say)
        live = len(scenario.history.between(scenario.live_from_ms, scenario.live_to_ms))
        with _progress(live, console, say) as on_tick:
            _, figures = play(pipeline, PIPELINE, scenario, settings, own, say=say, on_tick=on_tick)
        say("writing the report")
        return report(pipeline, scenario, settings, layout, figures)


def _steps(console: Console) -> Callable[[str], None]:
    """Prints lines with the seconds since the beginning before them."""
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[dim]{time.monotonic() - began:6.1f} s[/]  {line}", soft_wrap=True)

    return say


@contextmanager
def _progress(
    events: int, console: Console, say: Callable[[str], None]
) -> Iterator[Callable[[ReplayTick], None]]:
    """A bar on a terminal, a line every few seconds elsewhere."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[at]}"))
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task: Any = None
        said_at = 0.0

        def on_tick(tick: ReplayTick) -> None:
            nonlocal task, said_at
            if task is None:
                task = bar.add_task("", total=events, at="")
            bar.update(task, completed=tick.events_sent, at=shown(tick.event_time_ms))
            if bar.disable and tick.elapsed_s - said_at >= LINE_EVERY_S:
                said_at = tick.elapsed_s
                say(f"{tick.events_sent:,} of {events:,} events, {shown(tick.event_time_ms)}")

        yield on_tick


def _print_published(summary: dict[str, Any], console: Console) -> None:
    if "handbook" not in summary:
        return
    ours, published = summary["handbook"], summary["handbook_published"]
    console.print(
        f"\nThe Handbook's test week, from the prediction topic: {ours['rows']:,} payments, "
        f"{ours['frauds']:,} frauds"
    )
    for key, value in published.items():
        name = key.replace("_", " ")
        console.print(f"  {name:<24}{ours[key]:.3f}   published {value:.3f}")
