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

COUNT, SUM, MEAN = 0, 1, 2
NO_VALUE = -1
_CODES = {Aggregation.COUNT: COUNT, Aggregation.SUM: SUM, Aggregation.MEAN: MEAN}


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
    scales, defaults:
        float64[n_features]: what a sum is divided by, and the value of an empty window.
    """

    width: int
    n_sources: int
    cuts: Ints
    sums: Ints
    features: Ints
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
    wanted = features.of_entity(entity)
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
        scales=_frozen(np.array([f.value.scale if f.value else 1 for f in wanted], np.float64)),
        defaults=_frozen(np.array([f.default for f in wanted], np.float64)),
    )
    return WindowPlan(layout, arrays)


def plans_of(features: FeatureSet) -> tuple[WindowPlan, ...]:
    """The plans of every entity that a window feature needs, in the set's order."""
    return tuple(plan_of(features, e) for e in features.entities if features.of_entity(e))


def _sum_of(feature: WindowFeature, layout: EntityLayout) -> tuple[int, int] | None:
    if feature.aggregation is Aggregation.COUNT or feature.value is None:
        return None
    return source_code(feature.source), layout.word_of(feature.source, feature.value)


def _frozen(array: NDArray[np.generic]) -> NDArray[Any]:
    array.flags.writeable = False
    return array
