"""The store in Redis or Valkey: one function call per micro-batch over one connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from featurizers.errors import StoreError, StoreUnavailable
from featurizers.layout import EntityLayout
from featurizers.store.connection import RedisConnection
from featurizers.store.limits import MAX_ENTRIES
from featurizers.store.port import Ints, Logs, Pending, Request
from featurizers.store.wire import keys_pattern, log_key, pack, unpack, unpack_log

LIBRARY = "headrace_1"
MAX_IN_FLIGHT = 4
SCAN_KEYS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Where the store is and how long it may take.

    Attributes
    ----------
    url:
        `redis://[user:password@]host:port/db`, or `rediss://` for TLS.
    namespace:
        Pipeline and shard, as in `fraud:0`: a hash tag, so all its keys share a cluster slot.
    connect_timeout_s, read_timeout_s:
        Deadlines for connecting, and for every wait on the socket.
    max_entries:
        A log that reaches this many entries loses its oldest quarter.
    """

    url: str = field(repr=False)
    namespace: str
    connect_timeout_s: float = 2.0
    read_timeout_s: float = 5.0
    max_entries: int = MAX_ENTRIES


class _Sent:
    """A request on the wire, or its outcome."""

    def __init__(self, store: RedisStore, request: Request) -> None:
        self.request = request
        self._store = store
        self.answer: Any = None
        self.error: StoreError | None = None
        self.done = False

    def result(self) -> Logs:
        if not self.done:
            self._store.read_until(self)
        if self.error is not None:
            raise self.error
        return unpack(self.request, self.answer)


class RedisStore:
    """A `FeatureStore` on one Redis or Valkey server, for one thread.

    Nothing is connected before the first request; a lost connection is made anew by the next one.
    What was in flight when it was lost raises `StoreUnavailable` and may be sent again: entries
    that had arrived are repeats then. At most `MAX_IN_FLIGHT` requests are unanswered at a time;
    one more waits for the oldest.
    """

    def __init__(self, settings: RedisSettings) -> None:
        self._settings = settings
        self._connection = RedisConnection(
            settings.url,
            connect_timeout_s=settings.connect_timeout_s,
            read_timeout_s=settings.read_timeout_s,
        )
        self._in_flight: deque[_Sent] = deque()

    def submit(self, request: Request) -> Pending:
        """Sends a request and returns without waiting for the answer. Raises `StoreError`."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            self.read_until(self._in_flight[0])
        settings = self._settings
        command = pack(request, settings.namespace, max_entries=settings.max_entries)
        with self._exchange():
            self._connection.send(command)
        sent = _Sent(self, request)
        self._in_flight.append(sent)
        return sent

    def read(self, layout: EntityLayout, key: str) -> Ints | None:
        """A log as it stands, by a plain GET: nothing changes. Raises `StoreError`."""
        place = log_key(self._settings.namespace, layout, key)
        log = self._ask("GET", place)
        return None if log is None else unpack_log(layout, log, place.decode("utf-8", "replace"))

    def remove_all(self) -> int:
        """Removes every log of the namespace, and no other key; how many there were.

        For trials that wrote under a namespace of their own. Looks through all keys of the server,
        some at a time, so that others are served in between. Raises `StoreError`.
        """
        pattern, cursor, removed = keys_pattern(self._settings.namespace), b"0", 0
        while True:
            cursor, keys = self._ask("SCAN", cursor, "MATCH", pattern, "COUNT", SCAN_KEYS)
            if keys:
                removed += self._ask("UNLINK", *keys)
            if cursor == b"0":
                return removed

    def check(self) -> None:
        """Returns when the server is reachable and has Headrace's functions; else `StoreError`."""
        if not self._ask("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY):
            raise self._connection.without_functions()

    def deploy_functions(self) -> None:
        """Loads the functions that requests call, replacing those of the same version."""
        code = files("featurizers.store").joinpath("functions.lua").read_text("utf-8")
        self._ask("FUNCTION", "LOAD", "REPLACE", code)

    def close(self) -> None:
        """Closes the connection; requests in flight fail with `StoreUnavailable`."""
        self._connection.close()
        self._fail_all(StoreUnavailable(f"the connection to {self._connection.where} was closed"))

    def read_until(self, wanted: _Sent) -> None:
        """Reads answers, oldest first, up to the wanted one."""
        while not wanted.done:
            try:
                with self._exchange():
                    answer = self._connection.receive()
            except StoreError as error:
                if self._in_flight:  # a lost connection has failed them all already
                    self._settle(None, error)
            else:
                self._settle(answer, None)

    def _ask(self, *command: str | bytes | int) -> Any:
        while self._in_flight:
            self.read_until(self._in_flight[0])
        with self._exchange():
            return self._connection.call(*command)

    @contextmanager
    def _exchange(self) -> Iterator[None]:
        """Fails what is in flight when the connection is lost: its answers never come."""
        lost = self._connection.lost
        try:
            yield
        except BaseException as error:
            if self._connection.lost != lost:
                interrupted = StoreUnavailable(f"the exchange was interrupted: {error!r}")
                self._fail_all(error if isinstance(error, StoreError) else interrupted)
            raise

    def _fail_all(self, error: StoreError) -> None:
        while self._in_flight:
            self._settle(None, error)

    def _settle(self, answer: Any, error: StoreError | None) -> None:
        sent = self._in_flight.popleft()
        sent.answer, sent.error, sent.done = answer, error, True
