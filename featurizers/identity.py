"""The identity of a record inside a log: 64 bits of hash of the id its producer gave it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from xxhash import xxh3_64_intdigest

from featurizers.facts import IdentityArray


def identities(ids: Sequence[str]) -> IdentityArray:
    """uint64[n], the xxh3-64 of each id in UTF-8: the same in every process and on every machine.

    Two ids of one entity's log collide with a chance of about n² / 2⁶⁵ for n entries.
    """
    hashes = [xxh3_64_intdigest(i.encode("utf-8", "surrogatepass")) for i in ids]
    return np.array(hashes, dtype=np.uint64)
