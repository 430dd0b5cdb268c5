"""One entity's features as the online store holds them now."""

from __future__ import annotations

from deploy.bootstrap import feature_store
from deploy.errors import DeployError
from deploy.settings import Settings
from featurizers.inspection import EntityView, view
from featurizers.layout import layout_of
from streams.pipeline import Pipeline


def entity_view(
    pipeline: Pipeline, settings: Settings, name: str, key: str, as_of_ms: int | None
) -> EntityView:
    """The window features of the instance `key` of entity `name`; the store is only read.

    Raises `DeployError` when there is no such entity or the store holds no log of the instance,
    and `StoreError`.
    """
    features = pipeline.features
    kept = {e.name: e for e in features.entities if features.of_entity(e)}
    if name not in kept:
        raise DeployError(
            f"pipeline {pipeline.name} keeps no logs of {name!r}: choose among {', '.join(kept)}"
        )
    store = feature_store(pipeline, settings)
    try:
        entries = store.read(layout_of(features, kept[name]), key)
    finally:
        store.close()
    if entries is None or not len(entries):
        raise DeployError(
            f"the store holds nothing of {name} {key!r}: it had no event yet, or its last one is "
            "longer ago than any window reaches"
        )
    return view(features, kept[name], entries, as_of_ms)
