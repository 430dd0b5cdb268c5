"""What features mean, in plain Python: lists, loops and no code shared with the product."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from featurizers.definitions import (
    Aggregation,
    Feature,
    FeatureSet,
    FieldFeature,
    HoursFeature,
    Value,
    WeekendFeature,
    WindowFeature,
)

DAY_MS, HOUR_MS = 86_400_000, 3_600_000


@dataclass(frozen=True)
class Record:
    source: str
    id: str
    time_ms: int
    keys: dict[str, str]
    values: dict[str, float]


@dataclass
class Oracle:
    """Takes records as they arrive and says what every event's features are."""

    features: FeatureSet
    logs: dict[tuple[str, str], list[Record]] = field(default_factory=dict)

    def arrive(self, records: Iterable[Record]) -> list[list[float]]:
        return [row for r in records if (row := self._arrive(r)) is not None]

    def _arrive(self, record: Record) -> list[float] | None:
        seen: dict[str, list[Record]] = {}
        for entity in self.features.entities:
            read = {f.source for f in self.features.of_entity(entity)} | {"events"}
            log = self.logs.setdefault((entity.name, record.keys[entity.name]), [])
            same = [i for i, r in enumerate(log) if (r.source, r.id) == (record.source, record.id)]
            if not same and record.source in read:
                log.append(record)
            seen[entity.name] = log[: same[0] + 1] if same else list(log)
        if record.source != "events":
            return None
        return [_value(f, record, seen) for f in self.features.features]


def _value(feature: Feature, event: Record, seen: dict[str, list[Record]]) -> float:
    t = event.time_ms
    if isinstance(feature, WindowFeature):
        return _window(feature, t, seen[feature.entity.name])
    if isinstance(feature, FieldFeature):
        return _exact(event, feature.value) / feature.value.scale
    if isinstance(feature, WeekendFeature):
        return float((t // DAY_MS) % 7 in (2, 3))  # 1970-01-01 was a Thursday
    assert isinstance(feature, HoursFeature)
    return float(feature.first <= t // HOUR_MS % 24 <= feature.last)


def _window(feature: WindowFeature, t: int, log: list[Record]) -> float:
    newest = t - feature.window.delay_ms
    inside = [
        r
        for r in log
        if r.source == feature.source and newest - feature.window.length_ms < r.time_ms <= newest
    ]
    if not inside:
        return feature.default
    if feature.aggregation is Aggregation.COUNT:
        return float(len(inside))
    assert feature.value is not None
    total = sum(_exact(r, feature.value) for r in inside)
    if feature.aggregation is Aggregation.SUM:
        return total / feature.value.scale
    return total / len(inside) / feature.value.scale


def _exact(record: Record, value: Value) -> int:
    return round(record.values[value.field] * value.scale)
