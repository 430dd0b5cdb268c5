"""Random feature sets and histories: ties, late events, repeats, labels of any delay."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st

from featurizers.definitions import (
    EVENTS,
    LABELS,
    Aggregation,
    Entity,
    Feature,
    FeatureSet,
    FieldFeature,
    HoursFeature,
    Value,
    WeekendFeature,
    Window,
    WindowFeature,
    days,
)
from featurizers.facts import Facts
from featurizers.identity import identities
from tests.unit.featurizers.oracle import Record

ENTITIES = (Entity("customer", "customer_id"), Entity("terminal", "terminal_id"))
FIELDS = {EVENTS: ("amount", "tip"), LABELS: ("is_fraud", "loss")}
VALUES = {
    EVENTS: (Value("amount", 100), Value("amount"), Value("tip", 10)),
    LABELS: (Value("is_fraud"), Value("loss", 100)),
}
LATEST_MS = 40
# A week in hours, so that point features and windows both change within a history.
STRIDE_MS = 4 * 3_600_000


@st.composite
def window_features(draw: st.DrawFn) -> list[WindowFeature]:
    features = []
    for number in range(draw(st.integers(1, 6))):
        source = draw(st.sampled_from((EVENTS, LABELS)))
        length = draw(st.integers(1, LATEST_MS)) * STRIDE_MS
        delay = draw(st.sampled_from((0, 0, 1, 5, LATEST_MS))) * STRIDE_MS
        # One millisecond more or less puts window edges on, before and after event times.
        window = Window(length + draw(st.sampled_from((-1, 0, 1))), delay)
        features.append(
            WindowFeature(
                f"window_{number}",
                draw(st.sampled_from(ENTITIES)),
                draw(st.sampled_from(Aggregation)),
                window,
                draw(st.sampled_from(VALUES[source])),
                source,
                draw(st.sampled_from((0.0, -1.0))),
            )
        )
    return features


POINTS: tuple[Feature, ...] = (
    FieldFeature("amount", Value("amount", 100)),
    WeekendFeature("weekend"),
    HoursFeature("morning", 5, 11),
)


@st.composite
def feature_sets(draw: st.DrawFn) -> FeatureSet:
    features = [*draw(window_features()), *POINTS]
    # Nothing in a history is late: what lateness costs has tests of its own.
    return FeatureSet(ENTITIES, tuple(draw(st.permutations(features))), days(30))


@st.composite
def records(draw: st.DrawFn, source: str) -> Record:
    cents = st.integers(-10_000, 10_000)
    key = st.sampled_from(("a", "b", "", "ü"))
    return Record(
        source,
        f"id-{draw(st.integers(0, 25))}",
        draw(st.integers(0, LATEST_MS)) * STRIDE_MS,
        {entity.name: draw(key) for entity in ENTITIES},
        {field: draw(cents) / 100 for field in FIELDS[source]},
    )


def histories(source: str, max_size: int = 40) -> st.SearchStrategy[list[Record]]:
    return st.lists(records(source), max_size=max_size)


def facts(source: str, chosen: Sequence[Record]) -> Facts:
    return Facts(
        source,
        identities([r.id for r in chosen]),
        np.array([r.time_ms for r in chosen], dtype=np.int64),
        {e.name: [r.keys[e.name] for r in chosen] for e in ENTITIES},
        {f: np.array([r.values[f] for r in chosen], dtype=np.float64) for f in FIELDS[source]},
    )
