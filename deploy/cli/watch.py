"""`headrace watch`."""

from __future__ import annotations

import sys

import click


@click.command()
@click.argument("pipeline")
@click.option("--once", is_flag=True, help="Print one view and end (status 1 if nothing runs).")
@click.option(
    "--refresh",
    "refresh_s",
    type=click.FloatRange(0.2, 60),
    default=1.0,
    show_default=True,
    help="Seconds between two looks.",
)
def watch(pipeline: str, once: bool, refresh_s: float) -> None:
    """Live view of PIPELINE: rates, latency by stage, lag, scores, drift, alerts.

    Reads the metrics of every worker and monitor of this checkout that runs; Ctrl-C ends it.
    """
    from rich.console import Console

    from deploy.running import running
    from deploy.stack.layout import Layout
    from deploy.watch import WatchOptions
    from deploy.watch import watch as watch_live
    from streams.pipeline import load_pipeline

    name = load_pipeline(pipeline).name
    layout = Layout.discover()
    options = WatchOptions(refresh_s, once)
    try:
        ran = watch_live(pipeline, lambda: running(layout, name), Console(highlight=False), options)
    except KeyboardInterrupt:
        return
    sys.exit(0 if ran else 1)
