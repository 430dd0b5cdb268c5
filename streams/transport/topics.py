"""Topics as this project needs them: created, checked, measured."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException
from confluent_kafka import TopicPartition as DriverPartition
from confluent_kafka.admin import AdminClient, NewTopic, OffsetSpec

from streams.errors import BrokerUnavailable, StreamError, TopicMismatch
from streams.transport.batch import TopicPartition
from streams.transport.driver_errors import driver_log, translate, translated
from streams.transport.settings import TransportSettings

_AGAIN_S = 0.05


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic's name and shape; ``partitions=None`` accepts any count and cannot be created."""

    name: str
    partitions: int | None = None
    replication: int = 1
    config: Mapping[str, str] = field(default_factory=dict)


def ensure_topics(
    settings: TransportSettings, specs: Sequence[TopicSpec], *, deadline_s: float = 30.0
) -> None:
    """Create what is missing, and return when every partition has a leader.

    Raises
    ------
    TopicMismatch
        An existing topic has another partition count; nothing was changed.
    BrokerUnavailable
        No broker, or no leaders before the deadline.
    AuthenticationFailed
        Credentials or permissions are refused.
    """
    give_up_at = time.monotonic() + deadline_s
    admin = _Admin(settings)
    existing = admin.partition_counts(deadline_s)
    _compare(specs, existing)
    missing = [spec for spec in specs if spec.name not in existing]
    for spec, outcome in admin.create(missing, deadline_s).items():
        try:
            outcome()
        except KafkaException as failure:
            if failure.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise translate(failure.args[0], f"creating topic {spec}") from failure
    admin.wait_until_led([spec.name for spec in specs], give_up_at)
    _compare(specs, admin.partition_counts(max(give_up_at - time.monotonic(), 1.0)))


def check_topics(
    settings: TransportSettings, specs: Sequence[TopicSpec], *, deadline_s: float = 5.0
) -> None:
    """Raise `TopicMismatch` when a topic is missing or has another partition count."""
    existing = _Admin(settings).partition_counts(deadline_s)
    missing = [spec.name for spec in specs if spec.name not in existing]
    if missing:
        raise TopicMismatch(
            f"{settings.bootstrap} has no topic {', '.join(missing)}; "
            "create it with `headrace prepare PIPELINE`, or correct the name"
        )
    _compare(specs, existing)


def topic_partitions(
    settings: TransportSettings, topic: str, *, deadline_s: float = 10.0
) -> list[TopicPartition]:
    """Partitions of an existing topic, in order.

    Raises
    ------
    TopicMismatch
        The topic does not exist.
    """
    return _Admin(settings).partitions([topic], deadline_s)


def end_offsets(
    settings: TransportSettings, partitions: Sequence[TopicPartition], *, deadline_s: float = 10.0
) -> dict[TopicPartition, int]:
    """Offset after the last record of each partition."""
    return _Admin(settings).offsets(partitions, OffsetSpec.latest(), deadline_s)


def start_offsets(
    settings: TransportSettings, partitions: Sequence[TopicPartition], *, deadline_s: float = 10.0
) -> dict[TopicPartition, int]:
    """Offset of the first record that each partition still holds."""
    return _Admin(settings).offsets(partitions, OffsetSpec.earliest(), deadline_s)


def offsets_at(
    settings: TransportSettings,
    partitions: Sequence[TopicPartition],
    time_ms: int,
    *,
    deadline_s: float = 10.0,
) -> dict[TopicPartition, int]:
    """Offset of the first record of each partition with this Kafka timestamp or a later one.

    The offset after the last record where there is none.
    """
    admin = _Admin(settings)
    ends = admin.offsets(partitions, OffsetSpec.latest(), deadline_s)
    found = admin.offsets(partitions, OffsetSpec.for_timestamp(time_ms), deadline_s)
    return {at: offset if offset >= 0 else ends[at] for at, offset in found.items()}


def delete_before(
    settings: TransportSettings,
    offsets: Mapping[TopicPartition, int],
    *,
    deadline_s: float = 30.0,
) -> None:
    """Delete the records before an offset of each partition, for good.

    Raises
    ------
    TransportBroken
        An offset lies beyond the end of its partition, or the topic is compacted only.
    """
    client = _Admin(settings).client
    wanted = [DriverPartition(at.topic, at.partition, offset) for at, offset in offsets.items()]
    if not wanted:
        return
    with translated("deleting records"):
        futures = client.delete_records(
            wanted, request_timeout=deadline_s, operation_timeout=deadline_s
        )
        for future in futures.values():
            future.result()


def committed_offsets(
    settings: TransportSettings,
    partitions: Sequence[TopicPartition],
    *,
    deadline_s: float = 10.0,
) -> dict[TopicPartition, int]:
    """Offsets committed by the settings' group; partitions it never committed are left out."""
    return _committed(settings, partitions, deadline_s)


def group_lag(
    settings: TransportSettings, topics: Sequence[str], *, deadline_s: float = 10.0
) -> dict[TopicPartition, int]:
    """Records that the settings' group has not committed yet, per partition of ``topics``."""
    admin = _Admin(settings)
    partitions = admin.partitions(topics, deadline_s)
    ends = admin.offsets(partitions, OffsetSpec.latest(), deadline_s)
    starts = admin.offsets(partitions, OffsetSpec.earliest(), deadline_s)
    committed = _committed(settings, partitions, deadline_s)
    return {at: ends[at] - max(committed.get(at, 0), starts[at]) for at in partitions}


def _compare(specs: Sequence[TopicSpec], existing: Mapping[str, int]) -> None:
    wrong = [
        f"{spec.name} has {existing[spec.name]} partitions, {spec.partitions} are configured"
        for spec in specs
        if spec.partitions is not None
        and spec.name in existing
        and existing[spec.name] != spec.partitions
    ]
    if wrong:
        raise TopicMismatch(
            "; ".join(wrong) + "; correct the setting, or move the events to a new topic "
            "(another count sends keys to other partitions)"
        )


class _Refusal:
    """Keeps the last error that trying again cannot mend.

    Apart from the client, so that no reference cycle leaves the client to the garbage
    collector: freed from one of its own threads, it takes the process with it.
    """

    def __init__(self, doing: str) -> None:
        self._doing = doing
        self.error: StreamError | None = None

    def __call__(self, error: KafkaError) -> None:
        failure = translate(error, self._doing)
        if not failure.retriable:
            self.error = failure


class _Admin:
    """The driver's admin client, its errors translated."""

    def __init__(self, settings: TransportSettings) -> None:
        self._doing = f"talking to {settings.bootstrap}"
        self._refusal = _Refusal(self._doing)
        options = {**settings.client_options(), "error_cb": self._refusal}
        with translated("starting the admin client"):
            self.client = AdminClient(options, logger=driver_log)

    def _metadata(self, deadline_s: float) -> object:
        try:
            return self.client.list_topics(timeout=deadline_s)
        except KafkaException as failure:
            self.client.poll(0)
            if self._refusal.error is not None:
                raise self._refusal.error from failure
            raise translate(failure.args[0], self._doing) from failure

    def partition_counts(self, deadline_s: float) -> dict[str, int]:
        """Partition count of every topic."""
        topics = self._metadata(deadline_s).topics  # type: ignore[attr-defined]  # untyped driver
        return {name: len(topic.partitions) for name, topic in topics.items() if not topic.error}

    def wait_until_led(self, topics: Sequence[str], give_up_at: float) -> None:
        """Return when every partition answers; metadata alone names leaders too early."""
        while leaderless := self._leaderless(topics, give_up_at):
            if time.monotonic() >= give_up_at:
                raise BrokerUnavailable(f"no leader for {leaderless}; see the broker's log")
            time.sleep(_AGAIN_S)
        left_s = max(give_up_at - time.monotonic(), 1.0)
        self.offsets(self.partitions(topics, left_s), OffsetSpec.latest(), left_s)

    def _leaderless(self, topics: Sequence[str], give_up_at: float) -> str:
        metadata = self._metadata(max(give_up_at - time.monotonic(), 0.1))
        led = {
            name
            for name, topic in metadata.topics.items()  # type: ignore[attr-defined]  # untyped driver
            if topic.partitions and all(p.leader >= 0 for p in topic.partitions.values())
        }
        return ", ".join(name for name in topics if name not in led)

    def create(
        self, specs: Sequence[TopicSpec], deadline_s: float
    ) -> dict[str, Callable[[], object]]:
        """Start creating topics; one function per topic waits for its outcome."""
        unshaped = [spec.name for spec in specs if spec.partitions is None]
        if unshaped:
            raise TopicMismatch(
                f"no topic {', '.join(unshaped)}, and no partition count to create it"
            )
        if not specs:
            return {}
        new = [NewTopic(s.name, s.partitions, s.replication, config=dict(s.config)) for s in specs]
        with translated("creating topics"):
            futures = self.client.create_topics(new, operation_timeout=deadline_s)
        return {name: future.result for name, future in futures.items()}

    def offsets(
        self, partitions: Sequence[TopicPartition], spec: OffsetSpec, deadline_s: float
    ) -> dict[TopicPartition, int]:
        """Offsets by specification, per partition."""
        return _insist(lambda left_s: self._offsets(partitions, spec, left_s), deadline_s)

    def _offsets(
        self, partitions: Sequence[TopicPartition], spec: OffsetSpec, timeout_s: float
    ) -> dict[TopicPartition, int]:
        request = {DriverPartition(at.topic, at.partition): spec for at in partitions}
        with translated("listing offsets"):
            futures = self.client.list_offsets(request, request_timeout=timeout_s)
            return {
                TopicPartition(at.topic, at.partition): future.result().offset
                for at, future in futures.items()
            }

    def partitions(self, topics: Sequence[str], deadline_s: float) -> list[TopicPartition]:
        """Partitions of existing topics, in order."""
        counts = self.partition_counts(deadline_s)
        missing = [topic for topic in topics if topic not in counts]
        if missing:
            raise TopicMismatch(f"no topic {', '.join(missing)}; create it or correct the name")
        return [TopicPartition(t, number) for t in topics for number in range(counts[t])]


def _committed(
    settings: TransportSettings, partitions: Sequence[TopicPartition], deadline_s: float
) -> dict[TopicPartition, int]:
    """Ask as a consumer that joins nothing.

    The admin client's ``list_consumer_group_offsets`` ends the process with a segmentation
    fault (librdkafka 2.15.1, rd_kafka_handle_OffsetFetch -> rd_kafka_cgrp_op) when the
    group's coordinator is only just loading.
    """
    options = settings.consumer_options()
    options.pop("group.instance.id", None)
    doing = f"reading offsets of group {settings.group_id}"
    with translated(doing):
        consumer = Consumer(options, logger=driver_log)
    try:
        return _insist(lambda left_s: _ask(consumer, partitions, left_s, doing), deadline_s)
    finally:
        consumer.close()


def _ask(
    consumer: Consumer, partitions: Sequence[TopicPartition], timeout_s: float, doing: str
) -> dict[TopicPartition, int]:
    wanted = [DriverPartition(at.topic, at.partition) for at in partitions]
    with translated(doing):
        found = consumer.committed(wanted, timeout=timeout_s)
    for position in found:
        if position.error is not None:
            raise translate(position.error, doing)
    return {TopicPartition(p.topic, p.partition): p.offset for p in found if p.offset >= 0}


def _insist(
    ask: Callable[[float], dict[TopicPartition, int]], deadline_s: float
) -> dict[TopicPartition, int]:
    """Ask again until the deadline while the broker is only busy starting."""
    give_up_at = time.monotonic() + deadline_s
    while True:
        try:
            return ask(max(give_up_at - time.monotonic(), 0.1))
        except BrokerUnavailable:
            if time.monotonic() >= give_up_at:
                raise
            time.sleep(_AGAIN_S)
