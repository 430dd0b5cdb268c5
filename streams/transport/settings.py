"""How a process talks to Kafka: one immutable value, and the driver options it stands for."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """Everything the transport may be told; every queue, wait and retry has its bound here.

    Parameters
    ----------
    bootstrap
        ``host:port[,host:port...]`` of the brokers.
    group_id
        Consumer group; workers of one pipeline share it.
    client_id
        Shown in the broker's logs and metrics.
    group_instance_id
        Static membership: a worker that comes back under the same id within the session
        keeps its partitions without a rebalance. ``None``: dynamic.
    session_timeout_ms
        Silence after which the broker gives a dead worker's partitions away.
    max_poll_interval_ms
        Longest time between polls before the broker takes the partitions away.
    max_poll_records
        Upper bound of one micro-batch.
    max_in_flight
        Batches handed out and not finished; above it nothing more is read.
    poll_ms
        Longest wait of one poll; the event loop stands still for that long when idle.
    commit_interval_ms
        Time between offset commits.
    drain_ms
        Deadline for finishing what is in flight at a rebalance and at shutdown.
    queued_records, queued_kbytes
        Bounds of the driver's read-ahead, per partition and per process.
    fetch_min_bytes
        The broker answers a fetch when it has so much, or after 100 ms: 1 for the lowest latency,
        more where throughput counts and every fetch is work for a busy broker.
    linger_ms
        How long the producer waits to fill a request.
    delivery_timeout_ms
        Time after which an unacknowledged record counts as failed.
    producer_queue_records, producer_queue_kbytes
        Bounds of the producer's queue; full means back-pressure, not an error.
    retry_initial_ms, retry_max_ms, retry_give_up_s
        Backoff between attempts at a batch after a retriable error, doubled up to the maximum
        and jittered; after ``retry_give_up_s`` the worker ends for its supervisor.
    stall_s
        Assigned but not advancing, or an event loop that does not turn, for this long ends
        the process (after its stacks were written).
    start_at
        ``"earliest"`` or ``"latest"``: where a group without committed offsets begins.
    extra
        Further driver options, security above all; never shown in ``repr``.
    """

    bootstrap: str
    group_id: str
    client_id: str = "headrace"
    group_instance_id: str | None = None
    session_timeout_ms: int = 6_000
    max_poll_interval_ms: int = 120_000
    max_poll_records: int = 4_096
    max_in_flight: int = 4
    poll_ms: int = 5
    commit_interval_ms: int = 500
    drain_ms: int = 10_000
    queued_records: int = 20_000
    queued_kbytes: int = 65_536
    fetch_min_bytes: int = 1
    linger_ms: int = 1
    delivery_timeout_ms: int = 30_000
    producer_queue_records: int = 100_000
    producer_queue_kbytes: int = 262_144
    retry_initial_ms: int = 100
    retry_max_ms: int = 5_000
    retry_give_up_s: float = 900.0
    stall_s: float = 60.0
    start_at: str = "earliest"
    extra: Mapping[str, str] = field(default_factory=dict, repr=False)

    def client_options(self) -> dict[str, object]:
        """Options that every client of the driver shares, security included."""
        return {
            "bootstrap.servers": self.bootstrap,
            "client.id": self.client_id,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2_000,
            "socket.keepalive.enable": True,
            **self.extra,
        }

    def consumer_options(self) -> dict[str, object]:
        """Options of the group consumer: eager assignment, commits by hand, bounded read-ahead."""
        options: dict[str, object] = {
            **self.client_options(),
            "group.id": self.group_id,
            "session.timeout.ms": self.session_timeout_ms,
            "heartbeat.interval.ms": max(self.session_timeout_ms // 4, 250),
            "max.poll.interval.ms": max(self.max_poll_interval_ms, self.session_timeout_ms),
            "partition.assignment.strategy": "range",
            "enable.auto.commit": False,
            "enable.auto.offset.store": False,
            "auto.offset.reset": self.start_at,
            "isolation.level": "read_committed",
            "fetch.wait.max.ms": 100,
            "fetch.min.bytes": self.fetch_min_bytes,
            "fetch.error.backoff.ms": 100,
            # The default, a second, is how long reading stops each time the read-ahead is full.
            "fetch.queue.backoff.ms": 10,
            "queued.min.messages": self.queued_records,
            "queued.max.messages.kbytes": self.queued_kbytes,
        }
        if self.group_instance_id is not None:
            options["group.instance.id"] = self.group_instance_id
        return options

    def producer_options(self) -> dict[str, object]:
        """Options of the producer: idempotent, keys partitioned like Java's, bounded queue."""
        return {
            **self.client_options(),
            "enable.idempotence": True,
            "partitioner": "murmur2_random",
            "linger.ms": self.linger_ms,
            "delivery.timeout.ms": self.delivery_timeout_ms,
            "queue.buffering.max.messages": self.producer_queue_records,
            "queue.buffering.max.kbytes": self.producer_queue_kbytes,
        }
