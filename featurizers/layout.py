"""What an entity's log holds: derived from the feature set, so that nothing is kept in vain."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, SOURCES, Entity, FeatureSet, Value, days
from featurizers.errors import FactsError
from featurizers.facts import Facts
from featurizers.quantise import quantised

FORMAT = 1
SOURCE_BITS = 3
SOURCE_MASK = (1 << SOURCE_BITS) - 1
FIRST_VALUE = 2
MAX_TIME_MS = 2**49
"""Times beyond this many milliseconds either side of 1970 do not fit a log's entry exactly."""

TTL_SLACK_MS = days(1)
"""A log's time to live is refreshed once a day, so it is a day longer than it needs to be."""


def source_code(source: str) -> int:
    """The number that stands for a source in the low bits of an entry's first word."""
    return SOURCES.index(source)


@dataclass(frozen=True, slots=True)
class EntityLayout:
    """The entries of one entity's logs (format 1, see docs/reference/store-format.md).

    Attributes
    ----------
    entity:
        The entity's name.
    values:
        Per source that is kept, the values its entries carry, in order. Events are always kept:
        an event's own entry marks what it saw.
    retention_ms:
        How much older than the newest an entry must be before it may be dropped.
    """

    entity: str
    values: tuple[tuple[str, tuple[Value, ...]], ...]
    retention_ms: int

    @property
    def width(self) -> int:
        """Words (of 8 bytes) per entry: time and source, identity, values."""
        return FIRST_VALUE + max(len(values) for _, values in self.values)

    @property
    def width_bytes(self) -> int:
        """Bytes per entry."""
        return 8 * self.width

    @property
    def ttl_ms(self) -> int:
        """How long the store keeps a log to which nothing is added."""
        return self.retention_ms + TTL_SLACK_MS

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that are kept."""
        return tuple(source for source, _ in self.values)

    @property
    def version(self) -> str:
        """8 hex digits, part of every key: logs of another layout are never read by mistake."""
        meaning = [[s, [[v.field, v.scale] for v in values]] for s, values in self.values]
        text = json.dumps([FORMAT, meaning], separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def word_of(self, source: str, value: Value) -> int:
        """The word of an entry in which a source's value stands."""
        return FIRST_VALUE + dict(self.values)[source].index(value)

    def keys_of(self, facts: Facts) -> Sequence[str]:
        """The entity's key of every record. Raises `FactsError` where there are none."""
        keys = facts.keys.get(self.entity)
        if keys is None or len(keys) != len(facts):
            raise FactsError(
                f"the {facts.source} carry {'no' if keys is None else len(keys)} keys of entity "
                f"{self.entity!r} for {len(facts)} records"
            )
        return keys

    def encode(self, facts: Facts) -> NDArray[np.int64]:
        """int64[n, width], the records as entries. Raises `FactsError` for what does not fit."""
        if np.any(np.abs(facts.times_ms) >= MAX_TIME_MS):
            raise FactsError(f"the {facts.source} hold a time beyond 2**49 ms from 1970")
        entries = np.zeros((len(facts), self.width), dtype=np.int64)
        entries[:, 0] = facts.times_ms << SOURCE_BITS | source_code(facts.source)
        entries[:, 1] = facts.ids.view(np.int64)
        for word, value in enumerate(dict(self.values)[facts.source], start=FIRST_VALUE):
            entries[:, word] = quantised(facts, value)
        return entries


def layout_of(features: FeatureSet, entity: Entity) -> EntityLayout:
    """The layout of an entity's logs: only sources and values that its features use."""
    used: dict[str, set[tuple[str, int]]] = {EVENTS: set()}
    for feature in features.of_entity(entity):
        values = used.setdefault(feature.source, set())
        if feature.value is not None and feature.aggregation.needs_value:
            values.add((feature.value.field, feature.value.scale))
    kept = sorted(used, key=source_code)
    return EntityLayout(
        entity=entity.name,
        values=tuple((s, tuple(Value(*v) for v in sorted(used[s]))) for s in kept),
        retention_ms=features.retention_ms(entity),
    )


def layouts_of(features: FeatureSet) -> tuple[EntityLayout, ...]:
    """The layouts of every entity that a window feature needs, in the set's order."""
    return tuple(layout_of(features, e) for e in features.entities if features.of_entity(e))
