"""One member of a consumer group: polls micro-batches, and gives partitions up in good order."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, Message
from confluent_kafka import TopicPartition as DriverPartition

from streams.errors import BrokerUnavailable, NotAssigned, StreamError
from streams.transport.batch import TopicPartition
from streams.transport.driver_errors import driver_log, translate, translated
from streams.transport.settings import TransportSettings

log = logging.getLogger(__name__)

#: At most one line about an unreachable broker in this many seconds.
_REPORT_EVERY_S = 30.0


class Change(NamedTuple):
    """A change of the assignment that has already taken place."""

    event: Literal["assigned", "revoked", "lost"]
    partitions: frozenset[TopicPartition]
    epoch: int


class GroupListener(Protocol):
    """Who works on the records: asked to finish before partitions are given up."""

    def revoking(self) -> dict[TopicPartition, int]:
        """Finish what is in flight now, and return the offsets that may be committed.

        Called on the polling thread, inside a poll; must not poll and cannot await.
        """

    def ended(self, change: Change) -> None:
        """The assignment before ``change`` is over, or a new one has begun."""


class GroupConsumer:
    """Reads one group's share of some topics; every call comes from one thread.

    Assignment is eager: at every rebalance all partitions are given up, after what is in
    flight was finished and committed. ``epoch`` grows with every change; records polled
    under an older epoch belong to another owner and are dropped here.

    Raises, from any call that polls:

    - `AuthenticationFailed`, `TopicMismatch`, `TransportBroken`: the worker must stop.

    A broker that does not answer raises nothing: the driver keeps trying, and one line in
    30 s says so.
    """

    def __init__(
        self,
        settings: TransportSettings,
        listener: GroupListener,
        *,
        clock: Callable[[], float] = time.monotonic,
        connect: Callable[..., Consumer] = Consumer,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._clock = clock
        self._connect = connect
        self._client: Consumer | None = None
        self._failure: StreamError | None = None
        self._reported_at = float("-inf")
        self._sent: dict[TopicPartition, int] = {}
        self._on_committed: Callable[[dict[TopicPartition, int], StreamError | None], None]
        self.epoch = 0
        self.paused = False
        self.assigned: frozenset[TopicPartition] = frozenset()
        self.changes: deque[Change] = deque()

    def subscribe(
        self,
        topics: Sequence[str],
        on_committed: Callable[[dict[TopicPartition, int], StreamError | None], None],
    ) -> None:
        """Join the group; the assignment comes with a later poll."""
        self._on_committed = on_committed
        options = self._settings.consumer_options()
        options["error_cb"] = self._on_error
        options["on_commit"] = self._on_commit
        with translated("starting the consumer"):
            self._client = self._connect(options, logger=driver_log)
            self._client.subscribe(
                list(topics),
                on_assign=self._on_assign,
                on_revoke=self._on_revoke,
                on_lost=self._on_lost,
            )

    def poll(self, timeout_s: float, limit: int) -> list[Message]:
        """Wait at most ``timeout_s`` for a first record, then take what is there, up to ``limit``.

        Rebalances happen inside this call; see ``changes`` afterwards.
        """
        client = self._joined()
        with translated("reading"):
            first = client.poll(timeout_s)
            epoch = self.epoch
            rest = client.consume(limit - 1, 0) if first is not None and limit > 1 else []
        self._raise_failure()
        if first is None:
            return []
        if self.epoch != epoch:
            return self._after_rebalance(rest)
        return self._records([first, *rest])

    def _after_rebalance(self, polled: list[Message]) -> list[Message]:
        """Drop what was polled under an assignment that ended inside the poll.

        What remains assigned is read again from its lowest dropped offset, so that nothing
        of the new assignment is lost with it.
        """
        lowest: dict[TopicPartition, int] = {}
        for record in self._records(polled):
            at = TopicPartition(record.topic(), record.partition())
            lowest[at] = min(record.offset(), lowest.get(at, record.offset()))
        client = self._joined()
        with translated("reading again after a rebalance"):
            for at, offset in lowest.items():
                if at in self.assigned:
                    client.seek(DriverPartition(at.topic, at.partition, offset))
        return []

    def _records(self, polled: list[Message]) -> list[Message]:
        if not any(message.error() for message in polled):
            return polled
        records = []
        for message in polled:
            error = message.error()
            if error is None:
                records.append(message)
            else:
                self._on_error(error)
        self._raise_failure()
        return records

    def pause(self, *, paused: bool) -> None:
        """Stop or resume reading all partitions; polling goes on, membership lives."""
        if paused == self.paused:
            return
        self.paused = paused
        client = self._joined()
        with translated("pausing" if paused else "resuming"):
            (client.pause if paused else client.resume)(_driver(self.assigned))

    def commit(self, offsets: dict[TopicPartition, int]) -> None:
        """Send offsets without waiting; the outcome comes with a later poll."""
        news = {at: offset for at, offset in offsets.items() if self._sent.get(at) != offset}
        if not news:
            return
        self._sent.update(news)
        with translated("committing"):
            self._joined().commit(offsets=_driver_offsets(news), asynchronous=True)

    def commit_now(self, offsets: dict[TopicPartition, int], deadline_s: float) -> None:
        """Commit and wait for the broker, at most ``deadline_s`` seconds.

        Raises
        ------
        BrokerUnavailable
            No answer before the deadline; the records will be read again.
        NotAssigned
            The partitions have another owner by now.
        """
        if not offsets:
            return
        outcome: list[Exception | None] = []
        client = self._joined()

        # The driver's blocking commit has no timeout; a thread gives it one.
        def attempt() -> None:
            try:
                client.commit(offsets=_driver_offsets(offsets), asynchronous=False)
                outcome.append(None)
            except KafkaException as failure:
                outcome.append(failure)

        thread = threading.Thread(target=attempt, name="headrace-commit", daemon=True)
        thread.start()
        thread.join(deadline_s)
        if not outcome:
            raise BrokerUnavailable(f"offsets were not committed within {deadline_s:g} s")
        if isinstance(outcome[0], KafkaException):
            raise translate(outcome[0].args[0], "committing offsets")
        self._on_committed(offsets, None)

    def lags(self) -> dict[TopicPartition, int]:
        """Records not read yet, per partition, as far as the last fetch knew."""
        client = self._joined()
        found: dict[TopicPartition, int] = {}
        with translated("reading positions"):
            for position in client.position(_driver(self.assigned)):
                at = TopicPartition(position.topic, position.partition)
                _, high = client.get_watermark_offsets(_driver([at])[0], cached=True)
                if position.offset >= 0 and high >= 0:
                    found[at] = max(high - position.offset, 0)
        return found

    def close(self) -> None:
        """Leave the group (a static member keeps its partitions for the session)."""
        if self._client is not None:
            client, self._client = self._client, None
            with translated("leaving the group"):
                client.close()

    def _joined(self) -> Consumer:
        if self._client is None:
            raise NotAssigned("the consumer has not joined its group, or has left it")
        return self._client

    def _on_assign(self, client: Consumer, partitions: list[DriverPartition]) -> None:
        self._begin(frozenset(TopicPartition(p.topic, p.partition) for p in partitions), "assigned")
        client.assign(partitions)
        # A partition paused under an earlier assignment was seen to stay silent.
        client.resume(partitions)
        self.paused = False

    def _on_revoke(self, client: Consumer, partitions: list[DriverPartition]) -> None:
        del partitions
        offsets = self._listener.revoking()
        try:
            if self._client is not None:
                self.commit_now(offsets, self._settings.drain_ms / 1000)
        except StreamError as failure:
            log.warning("offsets were not committed before the rebalance: %s", failure)
        self._begin(frozenset(), "revoked")
        client.unassign()

    def _on_lost(self, client: Consumer, partitions: list[DriverPartition]) -> None:
        del partitions
        self._begin(frozenset(), "lost")
        client.unassign()

    def _begin(
        self,
        partitions: frozenset[TopicPartition],
        event: Literal["assigned", "revoked", "lost"],
    ) -> None:
        self.epoch += 1
        change = Change(event, partitions or self.assigned, self.epoch)
        self.assigned = partitions
        self._sent.clear()
        self.changes.append(change)
        self._listener.ended(change)

    def _on_commit(self, error: KafkaError | None, offsets: list[DriverPartition]) -> None:
        failed = error or next((p.error for p in offsets if p.error), None)
        done = {TopicPartition(p.topic, p.partition): p.offset for p in offsets if p.offset >= 0}
        if failed is None:
            self._on_committed(done, None)
            return
        for at in done:
            self._sent.pop(at, None)
        self._on_committed({}, translate(failed, "committing offsets"))

    def _on_error(self, error: KafkaError) -> None:
        failure = translate(error, f"talking to {self._settings.bootstrap}")
        if isinstance(failure, NotAssigned) or error.code() == KafkaError._MAX_POLL_EXCEEDED:
            log.warning("partitions were taken away: %s", error.str())
        elif failure.retriable:
            self._report_outage(error, failure)
        elif self._failure is None:
            self._failure = failure

    def _report_outage(self, error: KafkaError, failure: StreamError) -> None:
        # One broker of many may be away without harm; only the last one is worth a line.
        if error.code() not in (KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE):
            return
        now = self._clock()
        if now - self._reported_at >= _REPORT_EVERY_S:
            self._reported_at = now
            log.warning("%s; trying again until it answers", failure)

    def _raise_failure(self) -> None:
        if self._failure is not None:
            failure, self._failure = self._failure, None
            raise failure


def _driver(
    partitions: Sequence[TopicPartition] | frozenset[TopicPartition],
) -> list[DriverPartition]:
    return [DriverPartition(at.topic, at.partition) for at in partitions]


def _driver_offsets(offsets: dict[TopicPartition, int]) -> list[DriverPartition]:
    return [DriverPartition(at.topic, at.partition, offset) for at, offset in offsets.items()]
