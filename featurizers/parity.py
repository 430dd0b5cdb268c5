"""Whether two computations of the same features agree, value by value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MAX_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs."""

    id: str
    feature: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class ParityReport:
    """How two feature matrices compare.

    Attributes
    ----------
    values_compared, values_differing:
        Single values, that is rows times features.
    max_abs_difference:
        Over all values; infinite where only one of two is a number.
    differing_by_feature:
        Feature name -> differing values.
    examples:
        The first `MAX_EXAMPLES` differences in row order.
    """

    values_compared: int
    values_differing: int
    max_abs_difference: float
    differing_by_feature: dict[str, int]
    examples: tuple[Difference, ...]


def compare(
    ids: Sequence[str],
    names: Sequence[str],
    left: Floats,
    right: Floats,
    *,
    tolerance: float = 0.0,
) -> ParityReport:
    """Compares two float64[n, f] matrices row by row.

    Two values differ when they are further apart than `tolerance` (absolute); NaN equals NaN.
    Raises ValueError for matrices of different shape.
    """
    if left.shape != right.shape or left.shape != (len(ids), len(names)):
        raise ValueError(
            f"{left.shape} and {right.shape} do not fit {len(ids)} ids and {len(names)} features"
        )
    distance = _distances(left, right)
    differing = distance > tolerance
    places = np.argwhere(differing)[:MAX_EXAMPLES]
    return ParityReport(
        values_compared=left.size,
        values_differing=int(differing.sum()),
        max_abs_difference=float(distance.max(initial=0.0)),
        differing_by_feature=dict(zip(names, differing.sum(axis=0).tolist(), strict=True)),
        examples=tuple(
            Difference(ids[row], names[column], float(left[row, column]), float(right[row, column]))
            for row, column in places
        ),
    )


def _distances(left: Floats, right: Floats) -> Floats:
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    with np.errstate(invalid="ignore"):
        apart = np.abs(left - right)
    distances: Floats = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return distances
