"""Whether two computations of the same features agree, value by value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One value that differs; `reason` is None where none is known."""

    id: str
    feature: str
    online: float
    offline: float
    reason: str | None = None


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
    differing_by_reason:
        Reason -> differing values that it explains; those without one are not in here.
    examples:
        The first `MAX_EXAMPLES` differences in row order.
    """

    values_compared: int
    values_differing: int
    max_abs_difference: float
    differing_by_feature: dict[str, int]
    differing_by_reason: dict[str, int]
    examples: tuple[Difference, ...]


def compare(
    ids: Sequence[str],
    names: Sequence[str],
    online: Floats,
    offline: Floats,
    *,
    tolerance: float = 0.0,
    explained: Mapping[str, Mask] | None = None,
) -> ParityReport:
    """Compares two float64[n, f] matrices row by row.

    Two values differ when they are further apart than `tolerance` (absolute); NaN equals NaN.
    `explained` says by reason which values (bool[n, f]) it would explain; the first one counts.
    Raises ValueError for matrices of different shape.
    """
    if online.shape != offline.shape or online.shape != (len(ids), len(names)):
        raise ValueError(
            f"{online.shape} and {offline.shape} do not fit {len(ids)} ids and {len(names)} "
            "features"
        )
    distance = distances(online, offline)
    differing = distance > tolerance
    reasons = _reasons(differing, explained or {})
    return ParityReport(
        values_compared=online.size,
        values_differing=int(differing.sum()),
        max_abs_difference=float(distance.max(initial=0.0)),
        differing_by_feature=dict(zip(names, differing.sum(axis=0).tolist(), strict=True)),
        differing_by_reason={reason: int(mask.sum()) for reason, mask in reasons.items()},
        examples=tuple(
            Difference(
                ids[row],
                names[column],
                float(online[row, column]),
                float(offline[row, column]),
                next((reason for reason, mask in reasons.items() if mask[row, column]), None),
            )
            for row, column in np.argwhere(differing)[:MAX_EXAMPLES]
        ),
    )


def _reasons(differing: Mask, explained: Mapping[str, Mask]) -> dict[str, Mask]:
    """Per reason that explains anything, the differing values that no earlier one explains."""
    left, found = differing.copy(), {}
    for reason, mask in explained.items():
        if (left & mask).any():
            found[reason] = left & mask
            left &= ~mask
    return found


def distances(online: Floats, offline: Floats) -> Floats:
    """float64[n, f], how far apart values are; infinite where only one of two is a number."""
    same = (online == offline) | (np.isnan(online) & np.isnan(offline))
    with np.errstate(invalid="ignore"):
        apart = np.abs(online - offline)
    found: Floats = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    return found
