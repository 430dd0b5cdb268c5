"""Window features of one entity, compiled to flat arrays for the kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import Aggregation, Entity, FeatureSet, WindowFeature
from featurizers.layout import EntityLayout, layout_of, source_code

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

COUNT, SUM, MEAN, RATE = 0, 1, 2, 3
MIN, MAX, VARIANCE, STD, FIRST, LAST, DISTINCT, SECONDS_SINCE_LAST = 4, 5, 6, 7, 8, 9, 10, 11
NO_VALUE = -1
_CODES = {
    Aggregation.COUNT: COUNT,
    Aggregation.SUM: SUM,
    Aggregation.MEAN: MEAN,
    Aggregation.RATE: RATE,
    Aggregation.MIN: MIN,
    Aggregation.MAX: MAX,
    Aggregation.VARIANCE: VARIANCE,
    Aggregation.STD: STD,
    Aggregation.FIRST: FIRST,
    Aggregation.LAST: LAST,
    Aggregation.DISTINCT: DISTINCT,
    Aggregation.SECONDS_SINCE_LAST: SECONDS_SINCE_LAST,
}


class PlanArrays(NamedTuple):
    """A plan as the kernel takes it in; all arrays are read-only.

    Attributes
    ----------
    width:
        Words per entry.
    n_sources:
        Source codes that cuts name are below this.
    cuts:
        int64[n_cuts, 2]: source code, offset in ms.
    sums:
        int64[n_sums, 2]: source code, word of the entry whose running sum is kept.
    features:
        int64[n_features, 5]: aggregation, upper cut, lower cut, sum (or -1), column of the output.
    n_by_cuts:
        How many features, the first ones, follow from their cuts; the others look at every entry
        of their window.
    scales, defaults:
        float64[n_features]: what a result is divided by, and the value of an empty window.
    """

    width: int
    n_sources: int
    cuts: Ints
    sums: Ints
    features: Ints
    n_by_cuts: int
    scales: Floats
    defaults: Floats


@dataclass(frozen=True, slots=True)
class WindowPlan:
    """What the kernel evaluates over each log of an entity.

    A window is the difference between two cuts of its source; a cut takes the entries with
    `time <= event time - offset`. Windows that share an edge share the cut.
    """

    layout: EntityLayout
    arrays: PlanArrays


def plan_of(features: FeatureSet, entity: Entity) -> WindowPlan:
    """The plan of an entity's window features, their output columns those of the set."""
    layout = layout_of(features, entity)
    cuts: dict[tuple[int, int], int] = {}
    sums: dict[tuple[int, int], int] = {}
    rows: list[tuple[int, int, int, int, int]] = []
    wanted = sorted(features.of_entity(entity), key=lambda f: _CODES[f.aggregation])
    for feature in wanted:
        source, window = source_code(feature.source), feature.window
        upper = cuts.setdefault((source, window.delay_ms), len(cuts))
        lower = cuts.setdefault((source, window.reach_ms), len(cuts))
        column = features.names.index(feature.name)
        kept = _sum_of(feature, layout)
        total = NO_VALUE if kept is None else sums.setdefault(kept, len(sums))
        rows.append((_CODES[feature.aggregation], upper, lower, total, column))
    arrays = PlanArrays(
        width=layout.width,
        n_sources=1 + max(source for source, _ in cuts),
        cuts=_frozen(np.array(list(cuts), dtype=np.int64)),
        sums=_frozen(np.array(list(sums), dtype=np.int64).reshape(-1, 2)),
        features=_frozen(np.array(rows, dtype=np.int64)),
        n_by_cuts=sum(_CODES[f.aggregation] <= RATE for f in wanted),
        scales=_frozen(np.array([_scale(f) for f in wanted], np.float64)),
        defaults=_frozen(np.array([f.default for f in wanted], np.float64)),
    )
    return WindowPlan(layout, arrays)


def plans_of(features: FeatureSet) -> tuple[WindowPlan, ...]:
    """The plans of every entity that a window feature needs, in the set's order."""
    return tuple(plan_of(features, e) for e in features.entities if features.of_entity(e))


def _sum_of(feature: WindowFeature, layout: EntityLayout) -> tuple[int, int] | None:
    if feature.value is None or not feature.aggregation.needs_value:
        return None
    return source_code(feature.source), layout.word_of(feature.source, feature.value)


def _scale(feature: WindowFeature) -> int:
    """What the kernel's result (in units of the value, in events x ms/h, in ms) is divided by."""
    if feature.aggregation is Aggregation.RATE:
        return feature.window.length_ms
    if feature.aggregation is Aggregation.SECONDS_SINCE_LAST:
        return 1000
    return feature.value.scale if feature.value else 1


def _frozen(array: NDArray[np.generic]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
