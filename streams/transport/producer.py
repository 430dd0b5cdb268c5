"""Sending a batch's outputs, idempotently, with every delivery report accounted for."""

import logging
import time
from collections.abc import Callable

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from streams.errors import BrokerUnavailable, StreamError
from streams.transport.batch import Headers, MicroBatch
from streams.transport.driver_errors import driver_log, translate, translated
from streams.transport.settings import TransportSettings

log = logging.getLogger(__name__)

Clock = Callable[[], float]


class Deliveries:
    """Counts the outstanding delivery reports of one batch and keeps the first error.

    Give it the batch and `close` it once everything is sent: the last report then finishes
    the batch by itself (``batch.done()``), or fails it with the first error. Without a batch,
    use `wait`.

    Reports arrive while some producer is polled, on the thread that polls it.
    """

    __slots__ = ("_batch", "_closed", "_producer", "error", "pending", "sent")

    def __init__(self, producer: "BatchProducer", batch: MicroBatch | None = None) -> None:
        self.pending = 0
        self.sent = 0
        self.error: StreamError | None = None
        self._producer = producer
        self._batch = batch
        self._closed = False

    def close(self) -> None:
        """Declare that nothing more is sent for this batch."""
        self._closed = True
        self._settle()

    def wait(self, deadline_s: float) -> None:
        """Serve reports until none is outstanding.

        Raises
        ------
        StreamError
            The first delivery error.
        BrokerUnavailable
            When reports are still outstanding after ``deadline_s`` seconds.
        """
        self._producer.serve_until(lambda: self.pending == 0, deadline_s)
        if self.error is not None:
            raise self.error
        if self.pending:
            raise BrokerUnavailable(
                f"{self.pending} of {self.sent} records are not acknowledged after {deadline_s:g} s"
            )

    def _opened(self) -> None:
        self.pending += 1
        self.sent += 1

    def _report(self, error: KafkaError | None, message: Message) -> None:
        self.pending -= 1
        if error is not None and self.error is None:
            self.error = translate(error, f"publishing to {message.topic()}")
        self._settle()

    def _settle(self) -> None:
        if self.pending or not self._closed or self._batch is None:
            return
        batch, self._batch = self._batch, None
        if self.error is None:
            batch.done()
        else:
            batch.fail(self.error)


class BatchProducer:
    """Publishes records in the order of the calls, without loss or repetition by itself.

    Idempotent; keys go to partitions as in the Java client (`streams.transport.partitioner`).
    One thread uses it. The constructor touches no network; the client is made at first use.
    """

    def __init__(self, settings: TransportSettings, *, clock: Clock = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._client: Producer | None = None
        self._fatal: StreamError | None = None

    def __len__(self) -> int:
        """Records queued or in flight."""
        return 0 if self._client is None else len(self._client)

    def connect(self, deadline_s: float) -> None:
        """Make the client and let it learn brokers and leaders, which else the first record does.

        An idempotent producer also asks for its id now: over a second on a broker just started.

        Raises
        ------
        BrokerUnavailable
            No broker answers within ``deadline_s``.
        AuthenticationFailed
            Credentials or permissions are refused.
        """
        with translated("starting the producer"):
            self._connected().list_topics(timeout=deadline_s)

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
        """Queue one record; its report goes to ``deliveries``.

        A full queue is back-pressure: reports are served until there is room, at most for the
        delivery timeout. ``timestamp_ms`` is event time, now when absent.

        Raises
        ------
        RecordTooLarge
            The record alone exceeds the producer's limit; nothing was queued.
        BrokerUnavailable
            No room in the queue for a whole delivery timeout.
        TransportBroken
            The producer is fenced or unusable; the process must restart.
        """
        options: dict[str, object] = {"key": key, "value": value, "on_delivery": deliveries._report}
        if headers:
            options["headers"] = headers
        if partition is not None:
            options["partition"] = partition
        if timestamp_ms is not None:
            options["timestamp"] = timestamp_ms
        deliveries._opened()
        try:
            self._enqueue(topic, options)
        except BaseException:
            deliveries.pending -= 1
            deliveries.sent -= 1
            raise

    def _enqueue(self, topic: str, options: dict[str, object]) -> None:
        client = self._connected()
        give_up_at: float | None = None
        while True:
            try:
                client.produce(topic, **options)
            except BufferError as full:
                now = self._clock()
                if give_up_at is None:
                    give_up_at = now + self._settings.delivery_timeout_ms / 1000
                if now >= give_up_at:
                    raise BrokerUnavailable(
                        f"publishing to {topic}: the queue of {len(client)} records has not "
                        f"moved for {self._settings.delivery_timeout_ms} ms; check the broker"
                    ) from full
                client.poll(0.01)
            except KafkaException as failure:
                raise translate(failure.args[0], f"publishing to {topic}") from failure
            else:
                return

    def poll(self, timeout_s: float = 0.0) -> int:
        """Serve delivery reports for at most ``timeout_s`` seconds; returns how many.

        Raises
        ------
        TransportBroken
            The producer met a fatal error since the last call.
        """
        served = 0 if self._client is None else int(self._client.poll(timeout_s))
        if self._fatal is not None:
            raise self._fatal
        return served

    def serve_until(self, satisfied: Callable[[], bool], deadline_s: float) -> bool:
        """Serve reports until ``satisfied()`` or the deadline; returns which."""
        give_up_at = self._clock() + deadline_s
        while not satisfied():
            left = give_up_at - self._clock()
            if left <= 0:
                return False
            self.poll(min(left, 0.05))
        return True

    def flush(self, deadline_s: float) -> bool:
        """Wait until nothing is queued; ``False`` when the deadline passed first."""
        return self.serve_until(lambda: len(self) == 0, deadline_s)

    def close(self, deadline_s: float) -> None:
        """Flush within the deadline, then drop what could not be sent; it was never confirmed."""
        if self._client is None:
            return
        if not self.flush(deadline_s):
            log.warning("%d records could not be published before the deadline", len(self))
            self._client.purge()
            self._client.poll(0)
        self._client = None

    def _connected(self) -> Producer:
        if self._client is None:
            options = self._settings.producer_options()
            options["error_cb"] = self._on_error
            with translated("starting the producer"):
                self._client = Producer(options, logger=driver_log)
        return self._client

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = translate(error, "publishing")
