"""What every feature store promises, over each adapter."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from featurizers.definitions import EVENTS, LABELS, Value, days
from featurizers.layout import EntityLayout
from featurizers.store.memory import MemoryStore
from featurizers.store.port import EntityEntries, EntityLogs, FeatureStore
from featurizers.store.redis import MAX_IN_FLIGHT, RedisSettings, RedisStore

NOW_MS = 1_700_000_000_000
EVENT, LABEL = 0, 1
CUSTOMER = EntityLayout("customer", ((EVENTS, (Value("amount", 100),)),), retention_ms=days(10))
TERMINAL = EntityLayout("terminal", ((EVENTS, ()), (LABELS, (Value("is_fraud"),))), days(10))
MAX_ENTRIES = 64

Entry = tuple[int, int, int, int]  # time, source, identity, value
Groups = dict[str, list[Entry]]


@pytest.fixture(params=["memory", pytest.param("redis", marks=pytest.mark.integration)])
def store(request: pytest.FixtureRequest) -> Iterator[FeatureStore]:
    if request.param == "memory":
        yield MemoryStore(lambda: NOW_MS / 1000, max_entries=MAX_ENTRIES)
        return
    redis = RedisStore(
        RedisSettings(
            url=request.getfixturevalue("valkey_url"),
            namespace=f"{uuid.uuid4().hex}:0",
            max_entries=MAX_ENTRIES,
        )
    )
    redis.deploy_functions()
    redis.check()
    yield redis
    redis.close()


def event(identity: int, time_ms: int = NOW_MS, value: int = 0) -> Entry:
    return time_ms, EVENT, identity, value


def label(identity: int, time_ms: int = NOW_MS, value: int = 1) -> Entry:
    return time_ms, LABEL, identity, value


def entries(layout: EntityLayout, groups: Groups, n_read: int | None = None) -> EntityEntries:
    rows = [[t << 3 | s, i, v] for group in groups.values() for t, s, i, v in group]
    counts = np.array([len(group) for group in groups.values()], dtype=np.int64)
    wanted = len(groups) if n_read is None else n_read
    return EntityEntries(layout, list(groups), counts, np.array(rows, dtype=np.int64), wanted)


def ask(store: FeatureStore, groups: Groups, layout: EntityLayout = CUSTOMER) -> EntityLogs:
    return store.submit([entries(layout, groups)]).result().entities[0]


def log(logs: EntityLogs, key: int = 0, width: int = 3) -> list[Entry]:
    start, length = int(logs.starts[key]), int(logs.lengths[key])
    words = logs.words[start : start + length * width].reshape(length, width)
    return [(int(w[0]) >> 3, int(w[0]) & 7, int(w[1]), int(w[2])) for w in words]


def test_a_log_holds_its_entries_in_arrival_order_and_each_sees_those_before_it(
    store: FeatureStore,
) -> None:
    first, late, third = event(1, value=-5), event(2, NOW_MS - 9), event(-3, NOW_MS + 9)
    assert ask(store, {"a": [first]}).positions.tolist() == [1]
    logs = ask(store, {"a": [late, third], "b": [event(4)]})
    assert log(logs, 0) == [first, late, third]
    assert log(logs, 1) == [event(4)]
    assert logs.positions.tolist() == [2, 3, 1]
    assert not logs.repeated.any()
    assert not logs.words.flags.writeable


def test_a_repeat_changes_nothing_and_sees_what_it_saw(store: FeatureStore) -> None:
    ask(store, {"a": [event(1, value=7), event(2)]})
    logs = ask(store, {"a": [event(3), event(1, NOW_MS + 5, value=9), event(3), event(4)]})
    assert log(logs) == [event(1, value=7), event(2), event(3), event(4)]
    assert logs.positions.tolist() == [3, 1, 3, 4]
    assert logs.repeated.tolist() == [False, True, True, False]


def test_a_lone_repeat_is_found(store: FeatureStore) -> None:
    ask(store, {"a": [event(1), event(2), event(3)]})
    logs = ask(store, {"a": [event(2)], "b": [event(2)]})
    assert logs.positions.tolist() == [2, 1]
    assert logs.repeated.tolist() == [True, False]
    assert logs.lengths.tolist() == [3, 1]


def test_an_event_and_its_label_share_an_identity_and_are_both_kept(store: FeatureStore) -> None:
    ask(store, {"t": [event(1)]}, TERMINAL)
    logs = ask(store, {"t": [label(1), label(1), event(1)]}, TERMINAL)
    assert log(logs) == [event(1), label(1)]
    assert logs.positions.tolist() == [2, 2, 1]


def test_an_identity_is_only_found_where_identities_stand(store: FeatureStore) -> None:
    wanted = 0x1122334455667788
    straddling = int.from_bytes(wanted.to_bytes(8, "little")[4:] + b"\0" * 4, "little")
    head = int.from_bytes(b"\0" * 4 + wanted.to_bytes(8, "little")[:4], "little")
    as_value, across = event(5, value=wanted), event(head, value=straddling)
    logs = ask(store, {"a": [as_value, across]})
    logs = ask(store, {"a": [event(wanted)]})
    assert logs.repeated.tolist() == [False]
    assert log(logs) == [as_value, across, event(wanted)]


def test_many_entries_for_one_key_are_checked_like_single_ones(store: FeatureStore) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    chosen = [(event if rng.random() < 0.5 else label)(rng.randrange(12)) for _ in range(30)]
    whole = ask(store, {"whole": chosen}, TERMINAL)
    again = ask(store, {"whole": chosen[::-1]}, TERMINAL)
    single = [ask(store, {"single": [entry]}, TERMINAL) for entry in chosen]
    assert log(whole) == log(again) == log(single[-1])
    assert whole.positions.tolist() == [int(s.positions[0]) for s in single]
    assert whole.repeated.tolist() == [bool(s.repeated[0]) for s in single]
    assert again.repeated.all()
    assert again.positions.tolist() == whole.positions.tolist()[::-1]


def test_keys_entities_and_layouts_never_meet(store: FeatureStore) -> None:
    keys = ["", " ", "a:b", "{x}", "ü\n\0", "x" * 500]
    for number, key in enumerate(keys):
        ask(store, {key: [event(number)]})
    assert ask(store, {k: [event(99)] for k in keys}).lengths.tolist() == [2] * len(keys)
    assert ask(store, {"": [event(1)]}, TERMINAL).lengths.tolist() == [1]
    other = EntityLayout("customer", ((EVENTS, (Value("amount", 1),)),), days(10))
    assert ask(store, {"": [event(1)]}, other).lengths.tolist() == [1]


def test_entities_of_one_request_are_answered_in_its_order(store: FeatureStore) -> None:
    request = [
        entries(TERMINAL, {"t": [label(1), event(2)]}),
        entries(CUSTOMER, {"c": [event(2, value=50)], "d": [event(3)]}),
    ]
    terminal, customer = store.submit(request).result().entities
    assert log(terminal) == [label(1), event(2)]
    assert [log(customer, k) for k in (0, 1)] == [[event(2, value=50)], [event(3)]]


def test_only_logs_that_are_wanted_come_back(store: FeatureStore) -> None:
    ask(store, {"a": [event(1)], "b": [event(1)]})
    groups = {"a": [event(1), event(2)], "b": [event(3), event(1)], "c": [event(4)]}
    logs = store.submit([entries(CUSTOMER, groups, n_read=1)]).result().entities[0]
    assert log(logs) == [event(1), event(2)]
    assert len(logs.starts) == len(logs.lengths) == 1
    assert logs.positions.tolist() == [1, 2, 0, 0, 0]
    assert logs.repeated.tolist() == [True, False, False, True, False]
    assert ask(store, {k: [event(9)] for k in groups}).lengths.tolist() == [3, 3, 2]


def test_requests_in_flight_are_answered_in_any_order_and_more_than_once(
    store: FeatureStore,
) -> None:
    pending = [
        store.submit([entries(CUSTOMER, {"a": [event(i)]})]) for i in range(MAX_IN_FLIGHT + 3)
    ]
    for number in (4, 0, 6, 4, 1):
        logs = pending[number].result().entities[0]
        assert logs.positions.tolist() == [number + 1]


def daily(n: int, first: int = 0) -> list[Entry]:
    return [event(i, NOW_MS + days(i)) for i in range(first, first + n)]


def test_old_entries_go_and_none_within_retention_does(store: FeatureStore) -> None:
    history = daily(40)
    for entry in history:
        logs = ask(store, {"a": [entry]})
        kept = log(logs)
        needed = [e for e in history if entry[0] - days(10) <= e[0] <= entry[0]]
        assert kept[-len(needed) :] == needed
        assert logs.positions.tolist() == [len(kept)]
    assert len(kept) < 40 - 10


def test_a_repeat_in_a_request_that_cuts_sees_its_place_in_what_is_left(
    store: FeatureStore,
) -> None:
    for entry in daily(31):
        ask(store, {"a": [entry]})
    logs = ask(store, {"a": [event(31, NOW_MS + days(31)), event(29, 0)]})
    assert log(logs) == daily(15, first=17)
    assert logs.positions.tolist() == [15, 13]
    assert logs.repeated.tolist() == [False, True]


def test_events_from_a_wrong_clock_do_not_wipe_a_log(store: FeatureStore) -> None:
    history = [event(i, NOW_MS + i) for i in range(14)]
    ask(store, {"a": history})
    future = [event(100 + i, NOW_MS + days(20_000)) for i in range(3)]
    ask(store, {"a": future})
    logs = ask(store, {"a": [event(i, NOW_MS + i) for i in range(14, 40)]})
    assert logs.lengths.tolist() == [43]


def test_a_log_that_grows_too_long_loses_its_oldest_and_says_so(store: FeatureStore) -> None:
    ask(store, {"a": [event(i) for i in range(MAX_ENTRIES)]})
    answer = store.submit([entries(CUSTOMER, {"a": [event(1000 + i) for i in range(16)]})]).result()
    assert answer.cut_by_size == 1
    kept = log(answer.entities[0])
    assert kept[0] == event(MAX_ENTRIES // 4)
    assert len(kept) == MAX_ENTRIES * 3 // 4 + 16


def test_reading_a_log_changes_nothing(store: FeatureStore) -> None:
    assert store.read(CUSTOMER, "a") is None
    ask(store, {"a": [event(1, value=7), event(2, NOW_MS - 5)], "b": [event(3)]})
    for _ in range(2):
        entries_read = store.read(CUSTOMER, "a")
        assert entries_read is not None
        assert entries_read.tolist() == [[NOW_MS << 3, 1, 7], [NOW_MS - 5 << 3, 2, 0]]
        assert not entries_read.flags.writeable
    assert store.read(CUSTOMER, "c") is None
    assert store.read(TERMINAL, "a") is None
    logs = ask(store, {"a": [event(4)], "c": [event(5)]})
    assert logs.lengths.tolist() == [3, 1]


def test_reading_waits_for_what_was_sent_before(store: FeatureStore) -> None:
    pending = store.submit([entries(CUSTOMER, {"a": [event(1)]})])
    entries_read = store.read(CUSTOMER, "a")
    assert entries_read is not None
    assert entries_read[:, 1].tolist() == [1]
    assert pending.result().entities[0].positions.tolist() == [1]


numbers = st.tuples(
    st.integers(-days(40), days(40)).map(lambda t: NOW_MS + t),
    st.sampled_from((EVENT, LABEL)),
    st.integers(-20, 20),
    st.integers(-(2**53), 2**53),
)
requests = st.dictionaries(st.sampled_from("abc"), st.lists(numbers, min_size=1, max_size=20))


@pytest.mark.integration
@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(requests.filter(bool), max_size=8))
def test_memory_and_redis_agree(valkey_url: str, asked: Sequence[Groups]) -> None:
    memory = MemoryStore(lambda: NOW_MS / 1000, max_entries=MAX_ENTRIES)
    redis = RedisStore(
        RedisSettings(url=valkey_url, namespace=f"{uuid.uuid4().hex}:0", max_entries=MAX_ENTRIES)
    )
    redis.deploy_functions()
    for groups in asked:
        left, right = (s.submit([entries(TERMINAL, groups)]).result() for s in (memory, redis))
        assert left.cut_by_size == right.cut_by_size
        for key in range(len(groups)):
            assert log(left.entities[0], key) == log(right.entities[0], key)
        assert left.entities[0].positions.tolist() == right.entities[0].positions.tolist()
        assert left.entities[0].repeated.tolist() == right.entities[0].repeated.tolist()
    redis.close()
