"""The Redis store when its server is away, slow, full, locked, empty, or holds something else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import redis
from redis.crc import key_slot

from featurizers.definitions import EVENTS, Value, days
from featurizers.errors import StoreFormatError, StoreRefused, StoreUnavailable
from featurizers.layout import EntityLayout
from featurizers.store.port import EntityEntries
from featurizers.store.redis import RedisSettings, RedisStore
from featurizers.store.wire import key_prefix
from tests.integration.featurizers.valkey import OwnValkey

pytestmark = pytest.mark.integration

NAMESPACE = "faults:0"
CUSTOMER = EntityLayout("customer", ((EVENTS, (Value("amount", 100),)),), retention_ms=days(10))
KEY = key_prefix(NAMESPACE, CUSTOMER) + b"a"
TIMEOUT_S = 0.5


@pytest.fixture
def server(tmp_path: Path) -> Iterator[OwnValkey]:
    valkey = OwnValkey(tmp_path)
    yield valkey
    valkey.stop()


def store_at(url: str) -> RedisStore:
    return RedisStore(
        RedisSettings(
            url=url, namespace=NAMESPACE, connect_timeout_s=TIMEOUT_S, read_timeout_s=TIMEOUT_S
        )
    )


@pytest.fixture
def store(server: OwnValkey) -> Iterator[RedisStore]:
    server.start()
    made = store_at(server.url)
    made.deploy_functions()
    yield made
    made.close()


def request(*identities: int, layout: EntityLayout = CUSTOMER) -> list[EntityEntries]:
    entries = np.zeros((len(identities), layout.width), dtype=np.int64)
    entries[:, 1] = identities
    return [EntityEntries(layout, ["a"], np.array([len(identities)]), entries, n_read=1)]


def length(store: RedisStore, identity: int) -> int:
    return int(store.submit(request(identity)).result().entities[0].lengths[0])


def test_a_store_that_is_away_is_unavailable_and_used_again_when_it_is_back(
    server: OwnValkey,
) -> None:
    store = store_at(server.url)
    with pytest.raises(StoreUnavailable, match=str(server.port)) as caught:
        store.submit(request(1))
    assert caught.value.retriable
    server.start()
    store.deploy_functions()
    assert length(store, 1) == 1
    store.close()
    assert length(store, 2) == 2


def test_what_was_acknowledged_survives_a_kill(server: OwnValkey, store: RedisStore) -> None:
    acknowledged = 200
    for identity in range(acknowledged):
        assert length(store, identity) == identity + 1
    in_flight = store.submit(request(acknowledged))
    server.kill()

    def use_it() -> None:
        in_flight.result()  # may have been answered before the kill
        store.submit(request(acknowledged)).result()

    with pytest.raises(StoreUnavailable):
        use_it()
    server.start()
    store.check()
    logs = store.submit(request(*range(acknowledged + 1))).result().entities[0]
    assert logs.repeated[:acknowledged].all()
    assert logs.positions.tolist() == list(range(1, acknowledged + 2))


def test_a_store_that_does_not_answer_is_given_up_within_its_deadline(
    server: OwnValkey, store: RedisStore
) -> None:
    assert length(store, 1) == 1
    server.pause()
    first, second = store.submit(request(2)), store.submit(request(3))
    started = time.monotonic()
    for pending in (first, second):
        with pytest.raises(StoreUnavailable, match="Timeout"):
            pending.result()
    assert time.monotonic() - started < 3 * TIMEOUT_S
    server.resume()
    # Answers to what was given up must not be taken for the answers of what follows.
    logs = store.submit(request(1, 4)).result().entities[0]
    assert logs.repeated.tolist() == [True, False]


def test_a_server_without_the_functions_says_what_to_run(server: OwnValkey) -> None:
    server.start()
    store = store_at(server.url)
    calls: list[Callable[[], object]] = [store.check, lambda: store.submit(request(1)).result()]
    for call in calls:
        with pytest.raises(StoreRefused, match="headrace prepare"):
            call()
    store.deploy_functions()
    store.check()
    assert length(store, 1) == 1


def test_wrong_credentials_are_refused_and_no_message_holds_them(tmp_path: Path) -> None:
    server = OwnValkey(tmp_path, "--requirepass", "open-sesame")
    server.start()
    try:
        store = store_at(server.url.replace("redis://", "redis://:wr0ng-secret@"))
        with pytest.raises(StoreRefused, match="credentials") as caught:
            store.check()
        assert caught.value.fatal
        assert not caught.value.retriable
        assert "wr0ng-secret" not in f"{caught.value} {caught.value!r} {store!r}"
        assert "wr0ng-secret" not in repr(
            RedisSettings(url="redis://:wr0ng-secret@h", namespace="")
        )
        with pytest.raises(StoreRefused, match="credentials"):
            store_at(server.url).check()
        right = store_at(server.url.replace("redis://", "redis://:open-sesame@"))
        right.deploy_functions()
        assert length(right, 1) == 1
    finally:
        server.stop()


def test_a_server_that_cannot_serve_for_now_is_worth_another_try(
    server: OwnValkey, store: RedisStore
) -> None:
    client = redis.Redis(port=server.port)
    assert length(store, 1) == 1
    client.replicaof("127.0.0.1", 1)
    first, second = store.submit(request(2)), store.submit(request(3))
    for pending in (first, second):
        with pytest.raises(StoreUnavailable, match="READONLY"):
            pending.result()
    client.replicaof("NO", "ONE")
    assert length(store, 2) == 2


def test_a_worker_needs_the_rights_that_the_reference_names_and_no_others(
    server: OwnValkey, store: RedisStore
) -> None:
    commands = ["fcall", "function|list", "get", "set", "append", "setrange", "pexpire", "time"]
    redis.Redis(port=server.port).acl_setuser(
        "worker",
        enabled=True,
        passwords=["+pass"],
        keys=["hr1:*"],
        commands=[f"+{command}" for command in commands],
    )
    worker = store_at(server.url.replace("redis://", "redis://worker:pass@"))
    worker.check()
    assert [length(worker, 1), length(worker, 2)] == [1, 2]
    redis.Redis(port=server.port).setrange(KEY, 4, b"\1\0\0\0")
    assert length(worker, 3) == 3
    with pytest.raises(StoreRefused, match="permission"):
        worker.deploy_functions()


def test_a_full_server_is_worth_another_try(server: OwnValkey, store: RedisStore) -> None:
    client = redis.Redis(port=server.port)
    client.config_set("maxmemory", "1")
    with pytest.raises(StoreUnavailable, match="OOM"):
        length(store, 1)
    client.config_set("maxmemory", "0")
    assert length(store, 1) == 1


@pytest.mark.parametrize(
    "found",
    [b"HR\x02\x03" + b"\0" * 4, b"HR\x01\x04" + b"\0" * 4, b"HR\x01\x03" + b"\0" * 5, b"", b"junk"],
)
def test_a_log_of_another_format_is_refused_and_left_alone(
    server: OwnValkey, store: RedisStore, found: bytes
) -> None:
    client = redis.Redis(port=server.port)
    client.set(KEY, found)
    with pytest.raises(StoreFormatError, match="customer"):
        length(store, 1)
    with pytest.raises(StoreFormatError, match="customer"):
        store.read(CUSTOMER, "a")
    assert client.get(KEY) == found
    client.delete(KEY)
    assert length(store, 1) == 1


def test_a_key_of_another_type_is_refused(server: OwnValkey, store: RedisStore) -> None:
    redis.Redis(port=server.port).sadd(KEY, "x")
    with pytest.raises(StoreFormatError, match="WRONGTYPE"):
        length(store, 1)


def test_a_refused_request_leaves_those_around_it_alone(
    server: OwnValkey, store: RedisStore
) -> None:
    redis.Redis(port=server.port).set(KEY, "no log")
    other = EntityLayout("terminal", ((EVENTS, ()),), days(10))
    pending = [store.submit(request(i, layout=x)) for i, x in enumerate((other, CUSTOMER, other))]
    assert pending[0].result().entities[0].lengths.tolist() == [1]
    with pytest.raises(StoreFormatError):
        pending[1].result()
    assert pending[2].result().entities[0].lengths.tolist() == [2]


def test_a_log_lives_as_long_as_windows_reach_and_is_refreshed_daily(
    server: OwnValkey, store: RedisStore
) -> None:
    client = redis.Redis(port=server.port)
    length(store, 1)
    assert days(11) - 60_000 < client.pttl(KEY) <= days(11)
    client.pexpire(KEY, 1_000_000)
    length(store, 2)
    assert client.pttl(KEY) <= 1_000_000, "refreshed again on the same day"
    client.setrange(KEY, 4, b"\1\0\0\0")
    assert length(store, 3) == 3
    assert client.pttl(KEY) > days(11) - 60_000


def test_reading_a_log_leaves_its_time_to_live_alone(server: OwnValkey, store: RedisStore) -> None:
    client = redis.Redis(port=server.port)
    length(store, 1)
    client.pexpire(KEY, 1_000_000)
    client.setrange(KEY, 4, b"\1\0\0\0")
    before = client.get(KEY)
    found = store.read(CUSTOMER, "a")
    assert found is not None
    assert found[:, 1].tolist() == [1]
    assert client.get(KEY) == before
    assert client.pttl(KEY) <= 1_000_000


def test_removing_a_namespace_takes_its_logs_and_no_others(
    server: OwnValkey, store: RedisStore
) -> None:
    client = redis.Redis(port=server.port)
    odd = RedisStore(RedisSettings(url=server.url, namespace="fau?ts*[s]\\:0"))
    for identity in range(2_500):
        client.set(key_prefix("fau?ts*[s]\\:0", CUSTOMER) + str(identity).encode(), "")
    length(store, 1)
    client.set("another", "key")
    assert odd.remove_all() == 2_500
    assert sorted(client.keys()) == [b"another", KEY]
    assert store.remove_all() == 1
    assert store.remove_all() == 0
    assert client.keys() == [b"another"]
    odd.close()


def test_every_key_of_a_pipeline_lies_in_one_cluster_slot(
    server: OwnValkey, store: RedisStore
) -> None:
    client = redis.Redis(port=server.port)
    for layout in (CUSTOMER, EntityLayout("terminal", ((EVENTS, ()),), days(10))):
        store.submit(request(1, layout=layout)).result()
    keys = list(client.scan_iter())
    assert len(keys) == 2
    assert len({key_slot(key) for key in keys}) == 1
