"""What features mean, in plain Python: lists, loops and no code shared with the product."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

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
        return _window(feature, event, seen[feature.entity.name])
    if isinstance(feature, FieldFeature):
        return _exact(event, feature.value) / feature.value.scale
    if isinstance(feature, WeekendFeature):
        return float((t // DAY_MS) % 7 in (2, 3))  # 1970-01-01 was a Thursday
    assert isinstance(feature, HoursFeature)
    return float(feature.first <= t // HOUR_MS % 24 <= feature.last)


def _window(feature: WindowFeature, event: Record, log: list[Record]) -> float:
    newest = event.time_ms - feature.window.delay_ms
    inside = [
        r
        for r in log
        if r.source == feature.source and newest - feature.window.length_ms < r.time_ms <= newest
    ]
    if feature.aggregation is Aggregation.SECONDS_SINCE_LAST:
        # The event's own entry bears its identity, whatever time it has when it comes again.
        inside = [r for r in inside if (r.source, r.id) != (event.source, event.id)]
    if not inside:
        return feature.default
    match feature.aggregation:
        case Aggregation.COUNT:
            return float(len(inside))
        case Aggregation.RATE:
            return len(inside) * HOUR_MS / feature.window.length_ms
        case Aggregation.SECONDS_SINCE_LAST:
            return (event.time_ms - max(r.time_ms for r in inside)) / 1000
    return _of_values(feature, inside)


def _of_values(feature: WindowFeature, inside: list[Record]) -> float:
    assert feature.value is not None
    scale = feature.value.scale
    values = [_exact(r, feature.value) for r in inside]
    by_time = [_exact(r, feature.value) for r in sorted(inside, key=lambda r: r.time_ms)]
    match feature.aggregation:
        case Aggregation.SUM:
            return sum(values) / scale
        case Aggregation.MEAN:
            return sum(values) / len(values) / scale
        case Aggregation.MIN:
            return min(values) / scale
        case Aggregation.MAX:
            return max(values) / scale
        case Aggregation.FIRST:
            return by_time[0] / scale
        case Aggregation.LAST:
            return by_time[-1] / scale
        case Aggregation.DISTINCT:
            return float(len(set(values)))
        case Aggregation.VARIANCE:
            return float(variance(values) / scale**2)
        case Aggregation.STD:
            return math.sqrt(variance(values) / scale**2)
        case _:
            raise NotImplementedError(feature.aggregation)


def variance(values: list[int]) -> Fraction:
    mean = Fraction(sum(values), len(values))
    return sum(((v - mean) ** 2 for v in values), Fraction(0)) / len(values)


def _exact(record: Record, value: Value) -> int:
    return round(record.values[value.field] * value.scale)
