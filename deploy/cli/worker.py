"""`headrace prepare`, `headrace worker` and `headrace monitor`: what a deployment runs."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

    from deploy.settings import Settings
    from deploy.stack.layout import Layout
    from streams.pipeline import Pipeline

PIPELINE = click.argument("pipeline")
METRICS_PORT = click.option(
    "--metrics-port", type=int, default=None, help="Port of /metrics (default: any free one)."
)
NAME = click.option("--name", default=None, help="Name in logs and Kafka (default: role and pid).")


def log_to_stderr() -> None:
    """One line an entry, with the time; what a supervisor's log wants."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)-7s %(message)s",
        stream=sys.stderr,
    )


@click.command()
@PIPELINE
def prepare(pipeline: str) -> None:
    """Create PIPELINE's topics and load the store's functions. Safe to repeat.

    The one step that needs rights to create topics and to load functions; workers need neither.
    """
    from deploy.bootstrap import prepare as prepare_pipeline
    from deploy.endpoints import with_endpoints
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    prepare_pipeline(loaded, with_endpoints(load_settings(), Layout.discover()))
    click.echo(f"{loaded.name}: topics {', '.join(loaded.topics.values())} and the store are ready")


@click.command()
@PIPELINE
@METRICS_PORT
@NAME
def worker(pipeline: str, metrics_port: int | None, name: str | None) -> None:
    """Turn PIPELINE's events into predictions until stopped.

    Ctrl-C or SIGTERM finishes what is in flight, commits and ends; a second one ends at once.
    Several workers of one pipeline share its partitions.
    """
    from deploy.worker import run_worker

    sys.exit(_run(run_worker, "worker", pipeline, metrics_port, name))


@click.command()
@PIPELINE
@METRICS_PORT
@NAME
def monitor(pipeline: str, metrics_port: int | None, name: str | None) -> None:
    """Join PIPELINE's labels, keep metrics, learn beside the champion, detect drift, alert.

    Ctrl-C or SIGTERM finishes what is in flight, commits and ends; a second one ends at once.
    """
    from deploy.monitor import run_monitor

    sys.exit(_run(run_monitor, "monitor", pipeline, metrics_port, name))


def _run(
    run: Callable[[Pipeline, Settings, Layout, str], int],
    role: str,
    reference: str,
    metrics_port: int | None,
    name: str | None,
) -> int:
    from deploy.endpoints import with_endpoints
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout
    from streams.pipeline import load_pipeline

    log_to_stderr()
    pipeline = load_pipeline(reference)
    layout = Layout.discover()
    flags = {} if metrics_port is None else {"metrics": {"port": metrics_port}}
    settings = with_endpoints(load_settings(flags), layout)
    return run(pipeline, settings, layout, name or f"{pipeline.name}-{role}-{os.getpid()}")
