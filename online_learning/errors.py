"""The errors of `online_learning`.

TrustError
  SpecError              what a pipeline says of its monitors does not fit; every fault is named
  BatchError             the columns of a batch do not fit together
  SnapshotError          a saved state cannot be restored by this version
  JoinStoreError
    JoinStoreUnavailable the join store cannot be reached or gives no answer in time (retriable)
    JoinStoreRefused     the join store answered and said no
    JoinFormatError      the join store holds rows in a format this version does not know
"""

from __future__ import annotations

from collections.abc import Sequence


class TrustError(Exception):
    """Base of every error that `online_learning` raises."""

    retriable: bool = False


class SpecError(TrustError):
    """A monitor's settings are wrong. The operator mends the pipeline's module."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("the monitors are not valid:\n" + "\n".join(f"  - {f}" for f in faults))


class BatchError(TrustError):
    """A batch's columns differ in length or width. The caller built it wrongly."""


class SnapshotError(TrustError):
    """A saved state is damaged or of another version. Delete it to start from nothing."""


class JoinStoreError(TrustError):
    """Base of what can go wrong with the store of the label join."""


class JoinStoreUnavailable(JoinStoreError):
    """The store cannot be reached, or gave no answer within its deadline. Trying again may help."""

    retriable = True


class JoinStoreRefused(JoinStoreError):
    """The store answered with a refusal. Trying the same again will not help.

    No record is to blame, so a monitor ends (`fatal`) instead of setting records aside.
    """

    fatal = True


class JoinFormatError(JoinStoreError):
    """The store holds rows of a format this version does not know. Upgrade, or drop the rows."""
