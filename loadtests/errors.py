"""What can go wrong in a load test, apart from the result.

::

    LoadTestError
    ├── NotAnswering      retriable   nothing turns events into predictions
    ├── PlanRefused                   the run that was asked for cannot be made
    ├── CompanionEnded                a process of the generator's own ended early
    └── ResultUnreadable              a file holds no result of a load test

Errors of Kafka arrive as those of `streams.errors`.
"""

from typing import ClassVar


class LoadTestError(Exception):
    """Base of every error of this package."""

    retriable: ClassVar[bool] = False


class NotAnswering(LoadTestError):
    """A probe got no prediction. Start the system that is to be measured, then try again."""

    retriable: ClassVar[bool] = True


class PlanRefused(LoadTestError):
    """The run that was asked for is too long, empty, or of events that cannot be made."""


class CompanionEnded(LoadTestError):
    """The reader or the peer, a process of the generator's own, ended or never began."""


class ResultUnreadable(LoadTestError):
    """A file is not what `headrace loadtest run --json` writes."""
