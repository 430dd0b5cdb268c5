"""Keys go where the Java client sends them."""

import pytest

from streams.transport.partitioner import murmur2, partition_for

# org.apache.kafka.common.utils.UtilsTest#testMurmur2; signed, as Java prints them.
JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}


@pytest.mark.parametrize("key", JAVA)
def test_murmur2_equals_java(key: bytes) -> None:
    assert murmur2(key) == JAVA[key] & 0xFFFFFFFF


def test_partition_ignores_the_sign_bit() -> None:
    assert partition_for(b"foobar", 1000) == (-790332482 & 0x7FFFFFFF) % 1000
