"""Every Faust internal that the transport overrides or leans on, pinned by its source.

Another Faust, or a patched one, fails here by name and fails at a worker's start. To move the
pin: read what changed in each failing entry, adapt ``streams/transport/driver.py``, then
replace the digests with those that the failure prints.
"""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

import faust
import pytest
from faust.agents.agent import Agent
from faust.app.base import App, BootStrategy
from faust.assignor.leader_assignor import LeaderAssignor
from faust.streams import Stream
from faust.tables.manager import TableManager
from faust.transport import base
from faust.transport.conductor import Conductor
from faust.transport.drivers import by_url
from faust.types.tuples import ConsumerMessage, Message
from mode import Service

from streams.errors import TransportBroken
from streams.transport import driver

# What is named here is overridden, or its behaviour is relied on.
PINS: dict[str, tuple[Any, str]] = {
    "base.Consumer.__init__": (base.Consumer.__init__, "302410d59e6972d1"),
    "base.Consumer.on_partitions_assigned": (
        base.Consumer.on_partitions_assigned,
        "29ce96596f05a18c",
    ),
    "base.Consumer.on_partitions_revoked": (
        base.Consumer.on_partitions_revoked,
        "d04b7ae72c6fc206",
    ),
    "base.Consumer.on_stop": (base.Consumer.on_stop, "45b1d2210ce2b526"),
    "base.Consumer.commit": (base.Consumer.commit, "a354437baaa08bf8"),
    "base.Consumer.ack": (base.Consumer.ack, "5fcf41cf45153475"),
    "base.Consumer.wait_empty": (base.Consumer.wait_empty, "e4662fe24f094819"),
    "base.Consumer.pause_partitions": (base.Consumer.pause_partitions, "27a1c94bdacd54de"),
    "base.Consumer.resume_partitions": (base.Consumer.resume_partitions, "afe6b7c02a41d63c"),
    "base.Consumer.resume_flow": (base.Consumer.resume_flow, "db59630f25b5819b"),
    "base.Consumer.stop_flow": (base.Consumer.stop_flow, "cf7e875a2b0d40e8"),
    "base.Consumer.close": (base.Consumer.close, "76535efcb3c34631"),
    "base.Producer.__init__": (base.Producer.__init__, "5c53a4b47aa1372b"),
    "base.Producer.flush": (base.Producer.flush, "9ff5ea46f01f96de"),
    "base.Producer.send": (base.Producer.send, "e39c434a72328905"),
    "base.Transport.__init__": (base.Transport.__init__, "cfa0f03f4af26ddb"),
    "base.Transport.create_consumer": (base.Transport.create_consumer, "46cc2bf5ab14acfa"),
    "base.Fetcher.on_stop": (base.Fetcher.on_stop, "21f3bae9b455762b"),
    "Conductor.on_partitions_assigned": (Conductor.on_partitions_assigned, "616e9729131cf0bb"),
    "Conductor._update_tp_index": (Conductor._update_tp_index, "e8e3ac9025ef44f7"),
    "Conductor._build_handler": (Conductor._build_handler, "5c071d1277988c57"),
    "Conductor._compile_message_handler": (Conductor._compile_message_handler, "9fbc0538097aa4ec"),
    "Conductor.wait_for_subscriptions": (Conductor.wait_for_subscriptions, "916b876d6b0ff36a"),
    "Stream._py_aiter": (Stream._py_aiter, "3a48ee257a65435b"),
    "Stream._c_aiter": (Stream._c_aiter, "fa44582a5882e9df"),
    "Agent._execute_actor": (Agent._execute_actor, "c750b828d2bda93e"),
    "Agent._start_task": (Agent._start_task, "a4f6b50219f9a1f9"),
    "App.__init__": (App.__init__, "698e2bf236c67369"),
    "Service._crash": (Service._crash, "7bc0c709a151d556"),
    "App._create_directories": (App._create_directories, "a9f571c3b04abec3"),
    "App._on_partitions_assigned": (App._on_partitions_assigned, "de932b7927db85b3"),
    "App._on_partitions_revoked": (App._on_partitions_revoked, "d5c895bbe57dc73a"),
    "App._stop_consumer": (App._stop_consumer, "55854a5de12c3f52"),
    "App._stop_fetcher": (App._stop_fetcher, "68494554c248efcc"),
    "App.on_rebalance_start": (App.on_rebalance_start, "5c1e23de30674082"),
    "App.on_rebalance_end": (App.on_rebalance_end, "b7ff69e1e3772f30"),
    "App.on_started": (App.on_started, "c03627f2dc44a1dd"),
    "App._wait_for_table_recovery_completed": (
        App._wait_for_table_recovery_completed,
        "690e6aca2b9dd8a9",
    ),
    "BootStrategy.server": (BootStrategy.server, "97e47ea1dec34b55"),
    "BootStrategy.kafka_consumer": (BootStrategy.kafka_consumer, "1a288f3d603fc224"),
    "LeaderAssignor.on_start": (LeaderAssignor.on_start, "66bcb65ad54b5f52"),
    "TableManager.on_start": (TableManager.on_start, "365dd25fbc0e0684"),
    "TableManager.on_stop": (TableManager.on_stop, "351be149c0360de5"),
    "TableManager.on_partitions_revoked": (TableManager.on_partitions_revoked, "382852adff42ab99"),
    "TableManager.on_rebalance": (TableManager.on_rebalance, "2d2c23a07bf54328"),
    "TableManager.wait_until_recovery_completed": (
        TableManager.wait_until_recovery_completed,
        "e0f224aba177e99d",
    ),
    "TableManager.wait_until_tables_registered": (
        TableManager.wait_until_tables_registered,
        "e9bed5b158eeba36",
    ),
    "faust.Schema.compile": (faust.Schema.compile, "d46eec5ce3195b2c"),
    "Message.__init__": (Message.__init__, "afe1f75975597bc3"),
    "Service.stop": (Service.stop, "e17cd2b6bd01e861"),
    "Service._actually_start": (Service._actually_start, "def664241401b666"),
    "Service._init_subclass_tasks": (Service._init_subclass_tasks, "00f556deddf901c4"),
    "Service.crash": (Service.crash, "14980000465df0af"),
}


def _digest(function: Callable[..., Any]) -> str:
    return hashlib.sha256(inspect.getsource(function).encode()).hexdigest()[:16]


@pytest.mark.parametrize("name", PINS)
def test_a_faust_internal_is_what_the_transport_was_written_for(name: str) -> None:
    function, pinned = PINS[name]
    assert _digest(function) == pinned, f"{name} has changed: read it, then pin {_digest(function)}"


def test_the_installed_faust_is_the_pinned_one() -> None:
    assert faust.__version__ == driver.PINNED_FAUST
    driver.check_faust()


def test_another_faust_fails_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faust, "__version__", "0.15.4")
    with pytest.raises(TransportBroken, match=r"0\.15\.4.*0\.15\.3"):
        driver.check_faust()


def test_the_entry_point_leads_to_the_transport() -> None:
    assert by_url("headrace://somewhere:9092") is driver.Transport


def test_an_app_that_is_not_ours_is_refused() -> None:
    app = faust.App("strange", broker="headrace://somewhere:9092", web_enabled=False)
    with pytest.raises(TransportBroken, match="create_app"):
        _ = app.transport


def test_faust_sends_nothing_by_itself() -> None:
    """A record outside every batch would have no owner, so the plug-in refuses it loudly."""
    producer = driver.Producer.__new__(driver.Producer)
    with pytest.raises(TransportBroken, match="BatchProducer"):
        producer.send("t", b"k", b"v").send(None)


def test_every_abstract_method_of_the_consumer_has_an_answer() -> None:
    assert driver.Consumer.__abstractmethods__ == frozenset()


@pytest.mark.parametrize("task", ["_commit_handler", "_commit_livelock_detector"])
def test_tasks_of_faust_that_would_commit_are_replaced(task: str) -> None:
    assert isinstance(getattr(base.Consumer, task), type(getattr(driver.Consumer, task)))
    assert getattr(driver.Consumer, task).fun is driver.Consumer._idle


def test_the_accounting_that_commits_past_unfinished_records_is_never_fed() -> None:
    """`Consumer.ack` counts only topics whose channel acknowledges; ours never does."""
    consumer = base.Consumer.__new__(driver.Consumer)

    class Topics:
        acks_enabled_for = staticmethod(lambda _topic: False)

    class Application:
        topics = Topics()

    consumer.app = Application()
    consumer._waiting_for_ack = None
    message = ConsumerMessage("t", 0, 5, 0.0, 0, None, None, None, None)
    assert consumer.ack(message) is False
