"""What a pipeline's features are and what keeping their logs costs."""

from __future__ import annotations

from typing import Any

from featurizers.definitions import (
    EVENTS,
    Entity,
    Feature,
    FeatureSet,
    FieldFeature,
    HoursFeature,
    WindowFeature,
)
from featurizers.layout import layout_of
from featurizers.store.limits import CHECK_EVERY, SLACK_MS

DAY_MS = 86_400_000
SPANS = ((DAY_MS, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s"), (1, "ms"))

# docs/reference/store-format.md, Sizing.
KEY_BYTES = 150
GROWTH = 1.34
HEADER_BYTES = 8


def description(features: FeatureSet, per_day: float) -> dict[str, Any]:
    """The feature set as plain data, for a table or JSON: fingerprint, features, entities.

    `per_day`: entries that one instance of an entity gets a day, events and labels together.
    """
    return {
        "fingerprint": features.fingerprint(),
        "allowed_lateness_ms": features.allowed_lateness_ms,
        "entries_per_day": per_day,
        "features": [_feature(f) for f in features.features],
        "entities": [
            _entity(features, e, per_day) for e in features.entities if features.of_entity(e)
        ],
    }


def log_bytes(width_bytes: int, retention_ms: int, per_day: float) -> int:
    """About how many bytes the store takes for one log, its key and its spare room included.

    A log settles at what retention holds, plus the two days and 16 entries by which it may be
    longer before it is cut.
    """
    entries = per_day * (retention_ms + SLACK_MS) / DAY_MS + CHECK_EVERY
    return round(KEY_BYTES + GROWTH * (HEADER_BYTES + width_bytes * entries))


def span(length_ms: int) -> str:
    """A length of time in its largest whole unit: `7d`, `90min`."""
    return next(
        f"{length_ms // unit}{name}" for unit, name in SPANS if length_ms % unit == 0 or unit == 1
    )


def _feature(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, WindowFeature):
        return {
            "name": feature.name,
            "entity": feature.entity.name,
            "source": feature.source,
            "aggregation": str(feature.aggregation),
            "value": feature.value.field if feature.value else None,
            "scale": feature.value.scale if feature.value else None,
            "window_ms": feature.window.length_ms,
            "delay_ms": feature.window.delay_ms,
            "default": feature.default,
        }
    value = feature.value if isinstance(feature, FieldFeature) else None
    what = type(feature).__name__.removesuffix("Feature").lower()
    if isinstance(feature, HoursFeature):
        what = f"{what} {feature.first}-{feature.last}"
    return {
        "name": feature.name,
        "entity": None,
        "source": EVENTS,
        "aggregation": what,
        "value": value.field if value else None,
        "scale": value.scale if value else None,
        "window_ms": None,
        "delay_ms": None,
        "default": None,
    }


def _entity(features: FeatureSet, entity: Entity, per_day: float) -> dict[str, Any]:
    layout = layout_of(features, entity)
    return {
        "name": entity.name,
        "key": entity.key,
        "layout": layout.version,
        "sources": list(layout.sources),
        "values": {
            source: [f"{v.field} * {v.scale}" for v in values] for source, values in layout.values
        },
        "bytes_per_entry": layout.width_bytes,
        "retention_ms": layout.retention_ms,
        "ttl_ms": layout.ttl_ms,
        "estimated_bytes": log_bytes(layout.width_bytes, layout.retention_ms, per_day),
    }
