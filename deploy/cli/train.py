"""`headrace train`: from a history to a model that Triton serves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from deploy.cli.moments import MOMENT, shown

if TYPE_CHECKING:
    from inference.model import ModelMetadata


@click.command()
@click.argument("pipeline")
@click.option(
    "--data",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    help="History: Parquet, CSV or JSON lines (default: what the pipeline's topics hold).",
)
@click.option("--from", "from_ms", type=MOMENT, required=True, help="First event time (UTC).")
@click.option("--to", "to_ms", type=MOMENT, required=True, help="Before this event time (UTC).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Figures as JSON.")
def train(
    pipeline: str, files: tuple[Path, ...], from_ms: int, to_ms: int, json_file: Path | None
) -> None:
    """Train PIPELINE's model on --from <= event time < --to, and make it the champion.

    Features are computed by the code that serves them, each row as of its own event time. Give all
    history before --from as well, so that windows are full. Workers take a new champion when they
    are restarted.
    """
    if to_ms <= from_ms:
        raise click.UsageError(f"--to {shown(to_ms)} is not after --from {shown(from_ms)}")
    from deploy.endpoints import with_endpoints
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout
    from deploy.training import history_of, train_champion
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    settings = with_endpoints(load_settings(), Layout.discover())
    history = history_of(loaded, files, settings)
    metadata = train_champion(
        loaded, history, settings, from_ms=from_ms, to_ms=to_ms, say=click.echo
    )
    for name, value in figures(metadata).items():
        click.echo(
            f"  {name:<22} {value:,.4g}" if isinstance(value, float) else f"  {name:<22} {value}"
        )
    if json_file:
        json_file.write_text(json.dumps(figures(metadata), indent=2) + "\n")


def figures(metadata: ModelMetadata) -> dict[str, str | int | float]:
    """What `--json` writes: keys as documented in docs/reference/summary.md."""
    return {
        "model": metadata.name,
        "version": metadata.version,
        "feature_fingerprint": metadata.feature_fingerprint,
        "data_from_ms": metadata.data_range.start_ms,
        "data_to_ms": metadata.data_range.end_ms,
        "rows": metadata.rows,
        "positives": metadata.positives,
        **metadata.metrics,
    }
