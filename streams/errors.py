"""Everything that can go wrong while events move, as one tree.

::

    StreamError
    ├── BrokerUnavailable      retriable   no broker answers; it may come back
    ├── DeliveryFailed         retriable   a record was not acknowledged in time
    ├── AuthenticationFailed               credentials or permissions are wrong
    ├── TopicMismatch                      a topic is missing or has another shape
    ├── RecordTooLarge                     one record exceeds the broker's limit
    ├── NotAssigned                        the partition belongs to another worker by now
    ├── TransportBroken                    this process cannot go on; restart it
    ├── SelectionTooLarge                  more dead letters than one command holds
    └── DecodeError                        one record's bytes are not what the topic promises

``retriable`` says whether doing the same thing again later can succeed. Exceptions of the
Kafka driver never leave ``streams.transport``; they arrive as one of these.
"""

from typing import ClassVar


class StreamError(Exception):
    """Base of every error of this package; catch it to catch them all."""

    retriable: ClassVar[bool] = False


class BrokerUnavailable(StreamError):
    """No broker answers. Start Kafka or correct the address; work resumes by itself."""

    retriable: ClassVar[bool] = True


class DeliveryFailed(StreamError):
    """The broker did not acknowledge a record within its deadline; sending again may succeed."""

    retriable: ClassVar[bool] = True


class AuthenticationFailed(StreamError):
    """The broker refused credentials, certificate or permission. Correct them and restart."""


class TopicMismatch(StreamError):
    """A topic is missing or has another partition count than asked for.

    Changing the count moves keys to other partitions, so nothing here does it silently.
    """


class RecordTooLarge(StreamError):
    """One record exceeds the limit of the producer or the topic (``max.message.bytes``)."""


class NotAssigned(StreamError):
    """The work belongs to an assignment that has ended; its next owner does it again."""


class TransportBroken(StreamError):
    """The client cannot go on: fenced, misused, or pinned to another Faust. Restart the process."""


class SelectionTooLarge(StreamError):
    """More dead letters than are held in memory at once. Choose fewer, by time or by reason."""


class DecodeError(StreamError):
    """One record cannot be read; it goes to the dead letters and costs its neighbours nothing.

    ``stage`` is where it failed (``"decode"``, ``"validate"``), ``reason`` a code from a small
    fixed set, ``field`` the path of the offending field or ``None``.
    """

    def __init__(self, stage: str, reason: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.reason = reason
        self.message = message
        self.field = field

    def __str__(self) -> str:
        place = f" at {self.field}" if self.field else ""
        return f"{self.stage}/{self.reason}{place}: {self.message}"
