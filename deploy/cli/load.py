"""`headrace load`: full windows for a worker that starts today."""

from __future__ import annotations

from pathlib import Path

import click

from deploy.cli.moments import MOMENT, shown


@click.command()
@click.argument("pipeline")
@click.option(
    "--data",
    "files",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    multiple=True,
    required=True,
    help="History: Parquet, CSV or JSON lines.",
)
@click.option("--to", "to_ms", type=MOMENT, required=True, help="Before this event time (UTC).")
def load(pipeline: str, files: tuple[Path, ...], to_ms: int) -> None:
    """Fill PIPELINE's feature store with what was known just before --to.

    Events before that moment, and labels that were known by then. Safe to repeat; load before the
    worker gets later events, for history cannot be put behind them.
    """
    from deploy.bootstrap import feature_store
    from deploy.endpoints import with_endpoints
    from deploy.loading import load_store
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout
    from streams.history import read_history
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    settings = with_endpoints(load_settings(), Layout.discover())
    history = read_history(loaded, files, to_ms=to_ms)
    store = feature_store(loaded, settings)
    with click.progressbar(length=100, label="loading") as bar:
        entries = load_store(
            loaded,
            history,
            store,
            to_ms=to_ms,
            progress=lambda done, total: bar.update(100 * done // max(total, 1) - bar.pos),
        )
    store.close()
    click.echo(f"{entries:,} entries as of {shown(to_ms)} are in the store")
