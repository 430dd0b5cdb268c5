"""From record fields to the exact integers that logs hold and sums are made of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import Value
from featurizers.errors import FactsError
from featurizers.facts import Facts

MAX_MAGNITUDE = 2**53
"""Above this a float64 no longer names every integer, so a scaled value could not be exact."""


def quantised(facts: Facts, value: Value) -> NDArray[np.int64]:
    """int64[n], `rint(field * scale)` of every record.

    Raises `FactsError` when the field is missing, or where it is not finite or too large.
    """
    try:
        column = facts.values[value.field]
    except KeyError:
        raise FactsError(f"the {facts.source} carry no field {value.field!r}") from None
    scaled = np.rint(column * value.scale)
    sound = np.abs(scaled) < MAX_MAGNITUDE
    if not sound.all():
        row = int(np.argmin(sound))
        raise FactsError(
            f"{facts.source} row {row}: {value.field} = {column[row]!r} cannot be kept exactly "
            f"(it must be finite and below 2**53 / {value.scale})"
        )
    return scaled.astype(np.int64)
