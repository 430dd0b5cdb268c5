"""A consumed record without a broker: the methods of `streams.transport.batch.KafkaRecord`."""

from streams.transport.batch import Headers


class Record:
    """One record at a position of a topic, as a consumer would hand it on."""

    def __init__(
        self,
        value: bytes | None,
        key: bytes | None,
        *,
        topic: str = "fraud.events",
        partition: int = 0,
        offset: int = 0,
        timestamp_ms: int = 0,
        headers: Headers | None = None,
    ) -> None:
        self._value, self._key, self._headers = value, key, headers
        self._topic, self._partition, self._offset = topic, partition, offset
        self._timestamp_ms = timestamp_ms

    def topic(self) -> str:
        return self._topic

    def partition(self) -> int:
        return self._partition

    def offset(self) -> int:
        return self._offset

    def key(self) -> bytes | None:
        return self._key

    def value(self) -> bytes | None:
        return self._value

    def headers(self) -> Headers | None:
        return self._headers

    def timestamp(self) -> tuple[int, int]:
        return (1, self._timestamp_ms)
