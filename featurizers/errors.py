"""The errors of `featurizers`.

FeatureError
  DefinitionError      a definition is wrong; all its faults are listed
  FactsError           records lack a field or key, or hold a number that cannot be kept exactly
  StoreError
    StoreUnavailable   the store cannot be reached, answer in time, or take more (retriable)
    StoreRefused       the store said no: wrong credentials, no right, no function (fatal)
    StoreFormatError   a key of the store holds what this version cannot read
"""

from __future__ import annotations

from collections.abc import Sequence


class FeatureError(Exception):
    """Base of every error that `featurizers` raises.

    `retriable`: the same again may succeed. `fatal`: no record is to blame and nothing can be
    served until an operator acts, so a worker ends instead of setting records aside.
    """

    retriable: bool = False
    fatal: bool = False


class DefinitionError(FeatureError):
    """A feature set is wrong. The operator mends the pipeline's module; every fault is named."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("the feature set is not valid:\n" + "\n".join(f"  - {f}" for f in faults))


class FactsError(FeatureError):
    """Records do not fit the feature set, and are refused before anything is written.

    A missing field or key is a fault of the caller; a number that is not finite or too large is
    one of the record, which belongs into the dead letters.
    """


class StoreError(FeatureError):
    """Base of what can go wrong with the online store."""


class StoreUnavailable(StoreError):
    """The store cannot be reached, gave no answer in time, is full, or cannot serve for now.

    Trying again helps once the store is back or has room.
    """

    retriable = True


class StoreRefused(StoreError):
    """The store answered with a refusal. Trying the same again will not help.

    No record is to blame, so a worker ends (`fatal`) instead of setting records aside.
    """

    fatal = True


class StoreFormatError(StoreError):
    """A key of the store holds what this version did not write and cannot read.

    Only records of that entity are concerned. The operator deletes the key, or finds out who else
    writes into the store.
    """
