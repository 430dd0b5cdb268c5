"""A producer without a broker: what was sent, confirmed when and how the test says."""

from __future__ import annotations

from typing import NamedTuple

from streams.errors import StreamError
from streams.transport.batch import Headers
from streams.transport.producer import BatchProducer, Deliveries
from streams.transport.settings import TransportSettings


class Sent(NamedTuple):
    """One record as it was sent."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class MemoryProducer(BatchProducer):
    """Keeps records in `sent`; confirms them at the next poll unless `holding`.

    With `fail_at`, the confirmation of the record with that number brings `error`.
    """

    def __init__(self, *, fail_at: int | None = None, error: StreamError | None = None) -> None:
        super().__init__(TransportSettings(bootstrap="nowhere:0", group_id="none"))
        self.sent: list[Sent] = []
        self.holding = False
        self._open: list[tuple[int, Deliveries]] = []
        self._fail_at = fail_at
        self._error = error

    def connect(self, deadline_s: float) -> None:
        del deadline_s

    def send(
        self,
        topic: str,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: Headers | None = None,
        partition: int | None = None,
        timestamp_ms: int | None = None,
        deliveries: Deliveries,
    ) -> None:
        del partition, timestamp_ms
        self._open.append((len(self.sent), deliveries))
        self.sent.append(Sent(topic, key, value, headers))
        deliveries.pending += 1
        deliveries.sent += 1

    def poll(self, timeout_s: float = 0.0) -> int:
        del timeout_s
        if self.holding:
            return 0
        served, self._open = self._open, []
        for number, deliveries in served:
            if number == self._fail_at and deliveries.error is None:
                deliveries.error = self._error
            deliveries.pending -= 1
        return len(served)
