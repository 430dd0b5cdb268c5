"""Faust's transport ``headrace://``: its event loop polls Kafka and carries whole batches.

Overrides, and why, are in ``docs/adr/0002-faust-transport.md``; every Faust internal named
there is pinned by ``tests/contracts/test_faust_internals.py``.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any, ClassVar, NoReturn

import faust
from faust.tables.manager import TableManager
from faust.transport import base
from faust.types.tuples import TP, ConsumerMessage, Message
from mode import Service

from streams.errors import StreamError, TransportBroken
from streams.transport.batch import MicroBatch
from streams.transport.group import Change
from streams.transport.lane import Lane

log = logging.getLogger(__name__)

#: Where Faust's services write; the worker says what matters in its own words, once.
faust_log = logging.getLogger("faust.headrace")

PINNED_FAUST = "0.15.3"

#: How long the polling task leaves the loop to an agent before it polls for it.
_AGENT_TURN_S = 0.02


def check_faust() -> None:
    """Raise `TransportBroken` when another Faust is installed than the one overridden here."""
    if faust.__version__ != PINNED_FAUST:
        raise TransportBroken(
            f"faust-streaming {faust.__version__} is installed, but the transport overrides "
            f"internals of {PINNED_FAUST}; install that version"
        )


class Consumer(base.Consumer):  # type: ignore[misc]  # Faust carries no types
    """Faust's consumer: one task that polls always, and one Faust event per micro-batch.

    Offsets, commits and rebalances belong to the `Lane`; Faust's own accounting of
    acknowledgements, which commits past unfinished records, is never fed.
    """

    lane: Lane
    logger = faust_log

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lane = self.app.lane
        self._subscribed = asyncio.Event()
        self._owned: set[TP] = set()
        self._handled: asyncio.Future[None] | None = None

    async def subscribe(self, topics: Iterable[str]) -> None:
        """Join the group and let the polling task begin."""
        if not self._subscribed.is_set():
            self.lane.subscribe(sorted(topics))
            self._subscribed.set()

    def handled(self) -> None:
        """Let the polling task go on: the agent is through with its batch."""
        if self._handled is not None and not self._handled.done():
            self._handled.set_result(None)

    def assignment(self) -> set[TP]:
        """Partitions Faust has been told of; follows the real assignment by one callback."""
        return set(self._owned)

    async def _poll_forever(self) -> None:
        try:
            await self._subscribed.wait()
            while not self.should_stop:
                batch = self.lane.turn()
                await self._follow_changes()
                if batch is None or not self.lane.is_current(batch):
                    await asyncio.sleep(0)
                else:
                    await self._hand_on(batch)
        except Exception as failure:  # noqa: BLE001 - whatever it is, it ends the worker
            self.app.end(failure)

    async def _follow_changes(self) -> None:
        # Faust's handlers await, the driver's callbacks cannot: they run afterwards, here,
        # and nobody polls until they are done.
        while (change := self.lane.next_change()) is not None:
            partitions = {TP(at.topic, at.partition) for at in change.partitions}
            if change.event == "assigned":
                await self._tell_assigned(partitions, change)
            else:
                await self._tell_revoked(partitions)

    async def _tell_revoked(self, partitions: set[TP]) -> None:
        self.app.on_rebalance_start()
        await self.on_partitions_revoked(partitions)
        self._owned.clear()

    async def _tell_assigned(self, partitions: set[TP], change: Change) -> None:
        if not self.app.rebalancing:
            self.app.on_rebalance_start()
        self._owned = partitions
        self.app.consumer_generation_id = change.epoch
        await self.on_partitions_assigned(set(partitions), change.epoch)

    async def _hand_on(self, batch: MicroBatch) -> None:
        self._handled = asyncio.get_running_loop().create_future()
        await self.callback(self._to_message(next(iter(self._owned)), batch))
        while not self._handled.done() and self.lane.is_current(batch) and not self.should_stop:
            await asyncio.wait((self._handled,), timeout=_AGENT_TURN_S)
            if not self._handled.done() and not self.should_stop:
                self.lane.progress.waiting = True
                self.lane.serve()
                await self._follow_changes()
        self.lane.progress.waiting = False
        self.lane.handed_on()

    def _to_message(self, tp: TP, record: MicroBatch) -> Message:
        return ConsumerMessage(
            tp.topic,
            tp.partition,
            offset=-1,
            timestamp=0.0,
            timestamp_type=0,
            headers=None,
            key=None,
            value=record,
            checksum=None,
            tp=tp,
            generation_id=record.epoch,
        )

    async def drain(self, deadline_s: float) -> bool:
        """Read nothing more; finish and commit what is in flight, or return ``False``."""
        self.lane.draining = True
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + deadline_s
        if self._handled is not None and not self._handled.done():
            await asyncio.wait((self._handled,), timeout=deadline_s)
        return self.lane.finish(max(give_up_at - loop.time(), 0.5))

    async def wait_empty(self) -> None:
        """Return at once: the lane has finished before Faust asks."""

    async def commit(self, topics: Any = None, start_new_transaction: bool = True) -> bool:
        """Return ``False``: the lane commits."""
        del topics, start_new_transaction
        return False

    async def on_stop(self) -> None:
        """Leave the group."""
        try:
            self.lane.close()
        except StreamError as failure:
            log.warning("the group was not left in good order: %s", failure)

    def pause_partitions(self, tps: Iterable[TP]) -> None:
        """Change nothing: back-pressure is the lane's."""
        del tps

    def resume_partitions(self, tps: Iterable[TP]) -> None:
        """Change nothing: back-pressure is the lane's."""
        del tps

    def close(self) -> None:
        """Change nothing: `on_stop` leaves the group."""

    def highwater(self, tp: TP) -> int:
        """Return 0: lag is a metric of the lane."""
        del tp
        return 0

    def topic_partitions(self, topic: str) -> int | None:
        """Partitions of ``topic`` owned here, ``None`` when there are none."""
        return sum(1 for tp in self._owned if tp.topic == topic) or None

    async def _idle(self) -> None:
        """Take the place of a Faust task that the lane makes superfluous."""

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        del args, kwargs
        raise TransportBroken(
            "headrace:// carries batches to agents only: no Faust tables, seeks or changelogs"
        )

    key_partition = _refuse
    _new_topicpartition = _refuse
    _seek = _refuse
    _commit = _refuse
    _getmany = _refuse
    seek_to_committed = _refuse
    seek_wait = _refuse
    position = _refuse
    earliest_offsets = _refuse
    highwaters = _refuse
    create_topic = _refuse

    _poller = Service.task(_poll_forever)
    _commit_handler = Service.task(_idle)
    _commit_livelock_detector = Service.task(_idle)


class Producer(base.Producer):  # type: ignore[misc]  # Faust carries no types
    """Faust's producer, for what Faust itself expects of one; records go by `BatchProducer`."""

    logger = faust_log

    async def flush(self) -> None:
        """Return at once: the lane has flushed before Faust asks."""

    async def send(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Refuse: a record sent here would belong to no batch, and nobody would await it."""
        del args, kwargs
        raise TransportBroken("publish with streams.transport.BatchProducer, not with Faust")

    send_and_wait = send
    create_topic = send


class Transport(base.Transport):  # type: ignore[misc]  # Faust carries no types
    """What the entry point ``faust.transports: headrace`` names."""

    Consumer: ClassVar[type] = Consumer
    Producer: ClassVar[type] = Producer
    driver_version = f"headrace on faust-streaming {PINNED_FAUST}"

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        check_faust()
        super().__init__(*args, **kwargs)
        if not hasattr(self.app, "lane"):
            raise TransportBroken("headrace:// needs an app made by streams.transport.create_app")


class BatchSchema(faust.Schema):  # type: ignore[misc]  # Faust carries no types
    """Hands the batch to the agent as it is; decoding is the processor's."""

    def compile(self, app: Any, **kwargs: Any) -> Any:
        """Return the coroutine that makes an event of a message."""
        del kwargs

        async def decode(message: Message, *, propagate: bool = False) -> Any:
            del propagate
            return app.create_event(None, message.value, {}, message)

        return decode


class NoTables(TableManager):  # type: ignore[misc]  # Faust carries no types
    """Faust without tables: no changelogs, no recovery, no two seconds of waiting at start.

    What is left of table recovery is its last step, letting the streams flow again.
    """

    logger = faust_log

    async def on_start(self) -> None:
        """Declare the (absent) tables registered."""
        self._tables_finalized.set()
        self._tables_registered.set()

    async def on_stop(self) -> None:
        """Nothing was started."""

    def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """There is no buffer to flush."""
        del revoked

    async def on_rebalance(
        self,
        assigned: set[TP],
        revoked: set[TP],
        newly_assigned: set[TP],
        generation_id: int = 0,
    ) -> None:
        """Let the streams flow again."""
        del assigned, revoked, newly_assigned, generation_id
        await self.app.on_rebalance_complete.send()
        self.app.flow_control.resume()
        self.app.consumer.resume_flow()
        self.app.on_rebalance_end()

    async def wait_until_recovery_completed(self) -> bool:
        """Return ``False`` at once: there is nothing to recover."""
        return False
