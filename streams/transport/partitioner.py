"""Which partition a key belongs to: murmur2, as the Java client and librdkafka compute it.

Source: ``org.apache.kafka.common.utils.Utils#murmur2`` and ``BuiltInPartitioner``. Every
producer of a topic must agree on this, or the events of one key meet on two workers; the
producers here are configured with librdkafka's ``murmur2_random``, and this function says
the same for tools that need the answer without sending.
"""

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """32-bit murmur2 hash of ``data``, unsigned."""
    length = len(data)
    h = (_SEED ^ length) & _MASK
    for start in range(0, length - length % 4, 4):
        k = int.from_bytes(data[start : start + 4], "little")
        k = (k * _M) & _MASK
        k ^= k >> 24
        k = (k * _M) & _MASK
        h = ((h * _M) & _MASK) ^ k
    tail = data[length - length % 4 :]
    if tail:
        h = ((h ^ int.from_bytes(tail, "little")) * _M) & _MASK
    h ^= h >> 13
    h = (h * _M) & _MASK
    return h ^ (h >> 15)


def partition_for(key: bytes, partition_count: int) -> int:
    """Partition of ``key`` in a topic of ``partition_count`` partitions.

    Records without a key are spread at random by the producer and have no answer here.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partition_count
