"""`headrace report`."""

from __future__ import annotations

import json
from pathlib import Path

import click

from deploy.cli.moments import MOMENT


@click.command()
@click.argument("pipeline")
@click.option(
    "--since", "from_ms", type=MOMENT, default=0, help="Only what was sent from this wall time on."
)
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of the reports."
)
@click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write the figures here (keys: docs/reference/summary.md).",
)
def report(pipeline: str, from_ms: int, out: Path | None, json_file: Path | None) -> None:
    """Say what happened, from what PIPELINE's topics hold: a table, summary.json, report.html.

    Changes nothing and may run while the workers do.
    """
    from rich.console import Console

    from deploy.endpoints import transport_settings, with_endpoints
    from deploy.report import collect, print_summary, write_report
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout
    from streams.pipeline import load_pipeline
    from streams.transport.reader import read_topic

    loaded = load_pipeline(pipeline)
    layout = Layout.discover()
    settings = load_settings()
    if not settings.kafka.bootstrap:
        settings = with_endpoints(settings, layout)
    transport = transport_settings(
        settings,
        group=f"headrace-{loaded.name}-report",
        client="headrace-report",
    )
    run = collect(loaded, lambda topic: read_topic(transport, topic), from_ms=from_ms)
    files = write_report(run, out or layout.reports)
    if json_file:
        json_file.write_text(json.dumps(files.summary, indent=2, allow_nan=False) + "\n")
    print_summary(files.summary, Console(highlight=False))
    click.echo(f"\nreport   {files.page_file}\nfigures  {files.summary_file}")
