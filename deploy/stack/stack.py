"""The servers of the stack together: up, down and status, each safe to repeat."""

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from deploy.errors import ServiceFailed, StackError
from deploy.stack.addresses import StackAddresses, save_stack
from deploy.stack.fetch import ensure_fetched
from deploy.stack.files import locked
from deploy.stack.kafka import Kafka
from deploy.stack.layout import Layout
from deploy.stack.ports import PortBook
from deploy.stack.process import RunRecord, ServiceProcess
from deploy.stack.service import Service, require_room
from deploy.stack.triton import Triton
from deploy.stack.valkey import Valkey

LOCK_WAIT_S = 120.0
READY_POLL_S = 0.05
TAIL_LINES = 15

State = Literal["running", "unresponsive", "crashed", "stopped"]


@dataclass(frozen=True)
class ServiceStatus:
    """What is known about one server. `pid` and `uptime_s` are None unless it runs."""

    name: str
    state: State
    pid: int | None
    ports: dict[str, int]
    uptime_s: float | None
    log: str
    log_tail: tuple[str, ...]


class Stack:
    """Starts, stops and describes the servers of one state folder.

    `say` receives one line for each thing worth telling. One Stack at a time works on a state
    folder: a file lock holds others back.
    """

    def __init__(
        self,
        layout: Layout,
        services: Sequence[Service],
        *,
        say: Callable[[str], None],
        rng: random.Random,
        wall_clock: Callable[[], float] = time.time,
    ) -> None:
        self._layout = layout
        self._services = {service.name: service for service in services}
        self._processes = {
            name: ServiceProcess(layout.service(name), wall_clock=wall_clock)
            for name in self._services
        }
        self._ports = PortBook(layout.ports, rng=rng, say=say)
        self._say = say
        self._wall_clock = wall_clock

    @property
    def names(self) -> tuple[str, ...]:
        """The servers, in the order in which they are shown."""
        return tuple(self._services)

    def up(self) -> dict[str, int]:
        """Returns every port once all servers answer; starts only those that do not run.

        Raises ServiceFailed, with the tail of its log, for a server that ends or does not
        answer within its deadline, and StackBusy while another command works on the stack.
        Whatever happens before the end, Ctrl-C included, what this call started is stopped.
        """
        with self._locked():
            require_room(self._layout.state)
            ports: dict[str, int] = {}
            for process in self._processes.values():
                record = process.running()
                ports |= record.ports if record else {}
            idle = [name for name, process in self._processes.items() if not process.running()]
            for name in idle:
                self._clear_remains(name)
                ports |= self._ports.choose(
                    self._services[name].port_names, avoid=frozenset(ports.values())
                )
            self._start_all(idle, ports)
            return ports

    def down(self) -> list[str]:
        """Stops every server and returns the names of those that had processes.

        Data, models and chosen ports stay. Safe to call at any time and in any state.
        """
        with self._locked():
            stopped = self._stop_all(self.names)
            self._layout.addresses.unlink(missing_ok=True)
            return stopped

    def status(self) -> list[ServiceStatus]:
        """The state of every server as it is now; takes at most a second for each."""
        return [self._status(name) for name in self.names]

    def log_path(self, name: str) -> str:
        """The log of one server. Raises StackError for a name that is none."""
        if name not in self._services:
            raise StackError(f"There is no service {name!r}: choose from {', '.join(self.names)}.")
        return str(self._processes[name].files.log)

    def _locked(self) -> contextlib.AbstractContextManager[None]:
        return locked(self._layout.lock, wait_s=LOCK_WAIT_S, say=self._say)

    def _clear_remains(self, name: str) -> None:
        process = self._processes[name]
        if process.crashed():
            self._say(f"{name} had stopped by itself; starting it again.")
        process.stop(self._services[name].stop_deadline_s)

    def _start_all(self, names: Sequence[str], ports: dict[str, int]) -> None:
        cancelled = threading.Event()
        with ThreadPoolExecutor(max_workers=len(self._services)) as threads:
            try:
                starting = [
                    threads.submit(self._bring_up, name, ports, name in names, cancelled)
                    for name in self.names
                ]
                wait(starting, return_when=FIRST_EXCEPTION)
                self._raise_first(starting, cancelled)
            except BaseException:
                cancelled.set()
                threads.shutdown(wait=True)
                self._stop_all(names)
                raise

    def _raise_first(self, starting: Sequence[Future[None]], cancelled: threading.Event) -> None:
        failures = [future.exception() for future in starting if future.done()]
        first = next((failure for failure in failures if failure), None)
        if first:
            cancelled.set()
            raise first

    def _bring_up(
        self, name: str, ports: dict[str, int], start: bool, cancelled: threading.Event
    ) -> None:
        service, process = self._services[name], self._processes[name]
        own_ports = {port_name: ports[port_name] for port_name in service.port_names}
        began = time.monotonic()
        if start:
            service.prepare(own_ports)
            if cancelled.is_set():
                return
            process.start(service.command(own_ports), own_ports)
        while not service.ready(own_ports):
            if not process.running():
                raise self._failure(name, f"stopped while starting{self._exit_words(name)}")
            if time.monotonic() - began > service.start_deadline_s:
                raise self._failure(name, f"did not answer in {service.start_deadline_s:.0f} s")
            if cancelled.wait(READY_POLL_S):
                return

    def _failure(self, name: str, reason: str) -> ServiceFailed:
        return ServiceFailed(name, reason, self._processes[name].log_tail(TAIL_LINES))

    def _exit_words(self, name: str) -> str:
        code = self._processes[name].exit_code()
        return "" if code is None else f" (exit code {code})"

    def _stop_all(self, names: Sequence[str]) -> list[str]:
        def stop(name: str) -> int:
            return self._processes[name].stop(self._services[name].stop_deadline_s)

        with ThreadPoolExecutor(max_workers=len(self._services)) as threads:
            ended = dict(zip(names, threads.map(stop, names), strict=True))
        return [name for name, count in ended.items() if count]

    def _status(self, name: str) -> ServiceStatus:
        process = self._processes[name]
        record = process.running()
        crashed = process.crashed()
        shown = record or (process.record() if crashed else None)
        return ServiceStatus(
            name=name,
            state=self._state(name, record, crashed=crashed),
            pid=record.identity.pid if record else None,
            ports=shown.ports if shown else {},
            uptime_s=self._wall_clock() - record.started_at_s if record else None,
            log=str(process.files.log),
            log_tail=tuple(process.log_tail(TAIL_LINES)) if crashed else (),
        )

    def _state(self, name: str, record: RunRecord | None, *, crashed: bool) -> State:
        if record is None:
            return "crashed" if crashed else "stopped"
        return "running" if self._services[name].ready(record.ports) else "unresponsive"


def local_stack(layout: Layout, say: Callable[[str], None]) -> Stack:
    """The stack of Headrace: Kafka, Valkey and Triton. Starts and reads nothing yet."""
    services: list[Service] = [Kafka(layout), Valkey(layout), Triton(layout)]
    return Stack(layout, services, say=say, rng=random.Random())  # noqa: S311 - not a secret


def bring_up(layout: Layout, say: Callable[[str], None]) -> StackAddresses:
    """Fetches what is missing, starts what does not run, and records where it listens.

    Raises any StackError, with one sentence that says what to do.
    """
    ensure_fetched(layout, say)
    ports = local_stack(layout, say).up()
    addresses = StackAddresses.of(ports, layout.models)
    save_stack(layout, addresses)
    return addresses
