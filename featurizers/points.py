"""Features of the event alone: no log, no store."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import FeatureSet, FieldFeature, HoursFeature, WeekendFeature
from featurizers.facts import Facts, TimeArray
from featurizers.quantise import quantised

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


def fill_points(features: FeatureSet, events: Facts, out: NDArray[np.float64]) -> None:
    """Writes the point features of `events` into their columns of `out` (float64[n, features]).

    Raises `FactsError` where a field is missing or holds a number that cannot be kept exactly.
    """
    for column, feature in enumerate(features.features):
        if isinstance(feature, FieldFeature):
            out[:, column] = quantised(events, feature.value) / feature.value.scale
        elif isinstance(feature, WeekendFeature):
            out[:, column] = _weekday(events.times_ms) >= 5
        elif isinstance(feature, HoursFeature):
            hour = events.times_ms % _DAY_MS // _HOUR_MS
            out[:, column] = (hour >= feature.first) & (hour <= feature.last)


def _weekday(times_ms: TimeArray) -> TimeArray:
    weekday: TimeArray = (times_ms // _DAY_MS + _EPOCH_WEEKDAY) % 7
    return weekday
