"""What a feature is, as plain immutable data.

A feature is a pure function of an event and of the logs of the entities it names. Nothing in this
module touches a store, a clock or a record: the kernel, the online store and the offline backfill
all read the same `FeatureSet`, which is why they agree.

Times are event times in milliseconds since the epoch, UTC. Windows are half open on the left:
`(t - delay - length, t - delay]`, so the event itself is inside an undelayed window.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum

from featurizers.errors import DefinitionError

EVENTS = "events"
LABELS = "labels"
SOURCES = (EVENTS, LABELS)

_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def days(n: float) -> int:
    """`n` days in milliseconds."""
    return round(n * 86_400_000)


def hours(n: float) -> int:
    """`n` hours in milliseconds."""
    return round(n * 3_600_000)


class Aggregation(StrEnum):
    """How the entries inside a window become one number (docs/concepts/features.md)."""

    COUNT = "count"
    SUM = "sum"
    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    VARIANCE = "variance"
    STD = "std"
    FIRST = "first"
    LAST = "last"
    DISTINCT = "distinct"
    RATE = "rate"
    SECONDS_SINCE_LAST = "seconds_since_last"

    @property
    def needs_value(self) -> bool:
        """Whether it is of a value; the others look at the entries' times alone."""
        return self not in (self.COUNT, self.RATE, self.SECONDS_SINCE_LAST)


@dataclass(frozen=True, slots=True)
class Entity:
    """Something that has a history: a customer, a terminal. `key` is the record field naming it."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Value:
    """A number that log entries carry as the exact integer `rint(field * scale)`.

    Sums are over integers, so that adding and removing entries is exact; the division by `scale`
    is the last step. Money in cents is `Value("amount", scale=100)`.
    """

    field: str
    scale: int = 1


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of event time `(t - delay_ms - length_ms, t - delay_ms]` before an event at t."""

    length_ms: int
    delay_ms: int = 0

    @property
    def reach_ms(self) -> int:
        """How far back from the event the window can see, in milliseconds."""
        return self.length_ms + self.delay_ms


@dataclass(frozen=True, slots=True)
class WindowFeature:
    """An aggregation over one entity's log. `default` is its value where the window is empty.

    A `value` is ignored where the aggregation needs none.
    """

    name: str
    entity: Entity
    aggregation: Aggregation
    window: Window
    value: Value | None = None
    source: str = EVENTS
    default: float = 0.0


@dataclass(frozen=True, slots=True)
class FieldFeature:
    """A number of the event itself, as `rint(field * scale) / scale`."""

    name: str
    value: Value


@dataclass(frozen=True, slots=True)
class WeekendFeature:
    """1.0 on Saturday and Sunday (UTC) of the event time, else 0.0."""

    name: str


@dataclass(frozen=True, slots=True)
class HoursFeature:
    """1.0 where `first <= hour of the event time (UTC) <= last`, else 0.0."""

    name: str
    first: int
    last: int


PointFeature = FieldFeature | WeekendFeature | HoursFeature
Feature = WindowFeature | PointFeature


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of a pipeline, in the order of the model's columns.

    Raises `DefinitionError`, naming every fault at once, when it is made from wrong parts.

    Attributes
    ----------
    entities:
        Every entity that a window feature names.
    features:
        In column order; names are unique.
    allowed_lateness_ms:
        How much later than the newest event of its partition an event may be before it is marked
        late, and how long logs are kept beyond the longest window.
    """

    entities: tuple[Entity, ...]
    features: tuple[Feature, ...]
    allowed_lateness_ms: int = days(1)

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise DefinitionError(faults)

    @property
    def names(self) -> tuple[str, ...]:
        """The features' names in column order."""
        return tuple(feature.name for feature in self.features)

    @property
    def window_features(self) -> tuple[WindowFeature, ...]:
        """The features that need an entity's log."""
        return tuple(f for f in self.features if isinstance(f, WindowFeature))

    def of_entity(self, entity: Entity) -> tuple[WindowFeature, ...]:
        """The window features over the log of `entity`."""
        return tuple(f for f in self.window_features if f.entity == entity)

    def retention_ms(self, entity: Entity) -> int:
        """How old an entry of `entity`'s log must be before no window can need it."""
        reach = max((f.window.reach_ms for f in self.of_entity(entity)), default=0)
        return reach + self.allowed_lateness_ms

    def fingerprint(self) -> str:
        """16 hex digits that change when any feature's meaning or order changes.

        Stands in every prediction, model and training set. Lateness is not part of it: it decides
        what is marked, not what a feature is.
        """
        meaning = [_meaning(f) for f in self.features]
        text = json.dumps(meaning, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def _meaning(feature: Feature) -> dict[str, object]:
    meaning = {"kind": type(feature).__name__, **asdict(feature)}
    if isinstance(feature, WindowFeature):
        meaning["default"] = float(feature.default)  # 0 and 0.0 mean the same
    return meaning


def _faults(features: FeatureSet) -> Iterable[str]:
    if not features.features:
        yield "there is no feature"
    seen: set[str] = set()
    for name in (*features.names, *(e.name for e in features.entities)):
        if not _NAME.fullmatch(name):
            yield f"{name!r} is not a name: use lower-case letters, digits and underscores"
    for name in features.names:
        if name in seen:
            yield f"two features are named {name!r}"
        seen.add(name)
    entities = [e.name for e in features.entities]
    for name in sorted({e for e in entities if entities.count(e) > 1}):
        yield f"two entities are named {name!r}"
    if features.allowed_lateness_ms < 0:
        yield "allowed_lateness_ms is negative"
    for feature in features.features:
        yield from _feature_faults(feature, features.entities)


def _feature_faults(feature: Feature, entities: tuple[Entity, ...]) -> Iterable[str]:
    if isinstance(feature, HoursFeature) and not 0 <= feature.first <= feature.last <= 23:
        yield f"{feature.name}: hours must satisfy 0 <= first <= last <= 23"
    if isinstance(feature, FieldFeature) and feature.value.scale < 1:
        yield f"{feature.name}: the scale of {feature.value.field!r} must be at least 1"
    if not isinstance(feature, WindowFeature):
        return
    if feature.entity not in entities:
        yield f"{feature.name}: entity {feature.entity.name!r} is not among the set's entities"
    if feature.source not in SOURCES:
        yield f"{feature.name}: source {feature.source!r} is not one of {', '.join(SOURCES)}"
    if feature.window.length_ms <= 0 or feature.window.delay_ms < 0:
        yield f"{feature.name}: a window needs length_ms > 0 and delay_ms >= 0"
    if feature.aggregation.needs_value and feature.value is None:
        yield f"{feature.name}: {feature.aggregation} needs a value to aggregate"
    if feature.value is not None and feature.value.scale < 1:
        yield f"{feature.name}: the scale of {feature.value.field!r} must be at least 1"
