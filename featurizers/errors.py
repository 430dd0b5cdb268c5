"""The errors of `featurizers`.

FeatureError
  DefinitionError      a definition is wrong; all its faults are listed
  FactsError           records lack a field or key, or hold a number that cannot be kept exactly
  StoreError
    StoreUnavailable   the store cannot be reached or does not answer in time (retriable)
    StoreRefused       the store answered and said no: wrong credentials, no memory, no function
    StoreFormatError   the store holds a log in a format this version does not know
"""

from __future__ import annotations

from collections.abc import Sequence


class FeatureError(Exception):
    """Base of every error that `featurizers` raises."""

    retriable: bool = False


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
    """The store cannot be reached, or gave no answer within its deadline. Trying again may help."""

    retriable = True


class StoreRefused(StoreError):
    """The store answered with a refusal. Trying the same again will not help.

    No record is to blame, so a worker ends (`fatal`) instead of setting records aside.
    """

    fatal = True


class StoreFormatError(StoreError):
    """The store holds data of a format version this reader does not know."""
