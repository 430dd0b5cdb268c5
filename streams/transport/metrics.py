"""What the transport counts, on the registry it is given."""

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from streams.transport.batch import TopicPartition

_PREFIX = "headrace_transport"
_RECORDS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096)
_SECONDS = (0.00025, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)


class TransportMetrics:
    """Prometheus metrics of one worker; labels are bounded by topics and their partitions."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def histogram(name: str, text: str, buckets: tuple[float, ...]) -> Histogram:
            return Histogram(f"{_PREFIX}_{name}", text, buckets=buckets, registry=registry)

        def counter(name: str, text: str, by: str) -> Counter:
            return Counter(f"{_PREFIX}_{name}", text, [by], registry=registry)

        def gauge(name: str, text: str, *by: str) -> Gauge:
            return Gauge(f"{_PREFIX}_{name}", text, by, registry=registry)

        self._batch_records = histogram("batch_records", "Records per micro-batch.", _RECORDS)
        self._batch_seconds = histogram(
            "batch_seconds", "Time from the poll of a batch to its last acknowledgement.", _SECONDS
        )
        self._polls = counter("polls", "Polls of the consumer.", "result")
        self._commits = counter("commits", "Offset commits.", "result")
        self._rebalances = counter("rebalances", "Changes of the assignment.", "event")
        self._retries = counter("retries", "Batches that were tried again.", "error")
        self._rejected = counter("rejected_records", "Records that were set aside.", "error")
        self._lag = gauge("lag_records", "Records not read yet.", "topic", "partition")
        self._assigned = gauge("assigned_partitions", "Partitions this worker owns.")
        self._in_flight = gauge("in_flight_batches", "Batches handed out and not finished.")
        self._paused = gauge("paused", "1 while reading is paused for back-pressure.")
        self._idle = gauge("seconds_since_progress", "Seconds since a batch was last finished.")

    def polled(self, records: int) -> None:
        """Count one poll and the size of what it brought."""
        self._polls.labels("data" if records else "empty").inc()
        if records:
            self._batch_records.observe(records)

    def finished(self, seconds: float) -> None:
        """Count a finished batch."""
        self._batch_seconds.observe(seconds)

    def committed(self, *, ok: bool) -> None:
        """Count a commit."""
        self._commits.labels("ok" if ok else "failed").inc()

    def rebalanced(self, event: str, assigned: int) -> None:
        """Count ``assigned``, ``revoked`` or ``lost`` and show how many partitions are owned."""
        self._rebalances.labels(event).inc()
        self._assigned.set(assigned)

    def retried(self, error: Exception) -> None:
        """Count a retry by the error's class."""
        self._retries.labels(type(error).__name__).inc()

    def rejected(self, error: Exception) -> None:
        """Count a record that was set aside, by the error's class."""
        self._rejected.labels(type(error).__name__).inc()

    def observe_flow(self, *, in_flight: int, paused: bool, idle_s: float) -> None:
        """Show the state of the flow."""
        self._in_flight.set(in_flight)
        self._paused.set(1 if paused else 0)
        self._idle.set(idle_s)

    def observe_lag(self, lags: dict[TopicPartition, int]) -> None:
        """Show records not read yet, per owned partition."""
        for at, lag in lags.items():
            self._lag.labels(at.topic, str(at.partition)).set(lag)

    def forget_lag(self, partitions: Iterable[TopicPartition]) -> None:
        """Stop showing partitions that were given up."""
        for at in partitions:
            try:
                self._lag.remove(at.topic, str(at.partition))
            except KeyError:
                continue
