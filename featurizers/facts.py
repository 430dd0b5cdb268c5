"""Records of one source as columns: the form in which features take them in, online and offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IdentityArray = NDArray[np.uint64]
TimeArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Facts:
    """n records of one source, in the order in which they are to be appended.

    Attributes
    ----------
    source:
        `definitions.EVENTS` or `definitions.LABELS`.
    ids:
        uint64[n], the identity of each record's event (see `identities`). A record whose identity
        already stands in an entity's log is a repeat and changes nothing.
    times_ms:
        int64[n], event time. A label carries the event time of the event it speaks of.
    keys:
        By entity name, the n keys: for events of every entity that has a window feature, for
        labels of those that have one over labels.
    values:
        By record field, float64[n]; every field a feature of this source needs.
    """

    source: str
    ids: IdentityArray
    times_ms: TimeArray
    keys: Mapping[str, Sequence[str]]
    values: Mapping[str, NDArray[np.float64]]

    def __len__(self) -> int:
        return len(self.ids)
