"""The one place where the driver's errors become the project's."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from confluent_kafka import KafkaError, KafkaException

from streams.errors import (
    AuthenticationFailed,
    BrokerUnavailable,
    DeliveryFailed,
    NotAssigned,
    RecordTooLarge,
    StreamError,
    TopicMismatch,
    TransportBroken,
)

#: Where librdkafka's own lines go; silent unless somebody asks, since each of them that
#: matters arrives a second time as an error with its remedy.
driver_log = logging.getLogger("streams.transport.librdkafka")
driver_log.addHandler(logging.NullHandler())
driver_log.propagate = False

_CAUSES: dict[type[StreamError], tuple[int, ...]] = {
    AuthenticationFailed: (
        KafkaError._AUTHENTICATION,
        KafkaError._SSL,
        KafkaError.SASL_AUTHENTICATION_FAILED,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        KafkaError.UNSUPPORTED_SASL_MECHANISM,
    ),
    TopicMismatch: (
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.TOPIC_EXCEPTION,
    ),
    RecordTooLarge: (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE),
    NotAssigned: (
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
        KafkaError._STATE,
    ),
    DeliveryFailed: (
        KafkaError._MSG_TIMED_OUT,
        KafkaError._PURGE_QUEUE,
        KafkaError._PURGE_INFLIGHT,
    ),
    BrokerUnavailable: (
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.NOT_COORDINATOR,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        # Both pass by themselves: a client or a broker has yet to learn of a new leader.
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
    ),
}
_BY_CODE = {code: error for error, codes in _CAUSES.items() for code in codes}

_REMEDIES: dict[type[StreamError], str] = {
    AuthenticationFailed: "check user, password, certificate and ACLs",
    TopicMismatch: "create the topic, or correct its name",
    RecordTooLarge: "raise max.message.bytes of the topic, or send less per record",
    NotAssigned: "nothing to do, the partition has another owner now",
    DeliveryFailed: "check the broker's disk and load",
    BrokerUnavailable: "start Kafka or correct the bootstrap address",
    TransportBroken: "correct the settings, or restart the process",
}


def translate(error: KafkaError, doing: str) -> StreamError:
    """Return the project's error for a driver error met while ``doing`` something.

    Fatal driver errors (fenced, idempotence lost) are `TransportBroken`; unknown retriable
    ones are `BrokerUnavailable`.
    """
    kind = _BY_CODE.get(error.code())
    if error.fatal() or kind is None:
        kind = BrokerUnavailable if error.retriable() and not error.fatal() else TransportBroken
    return kind(f"{doing}: {error.str()} ({error.name()}); {_REMEDIES[kind]}")


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise the project's error in place of the driver's; names what was being done."""
    try:
        yield
    except KafkaException as failure:
        raise translate(failure.args[0], doing) from failure
    except (ValueError, TypeError, RuntimeError) as misuse:
        raise TransportBroken(f"{doing}: {misuse}; {_REMEDIES[TransportBroken]}") from misuse
