"""The store in Redis or Valkey: one function call per micro-batch over one connection."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

import redis

from featurizers.errors import StoreError, StoreFormatError, StoreRefused, StoreUnavailable
from featurizers.store.limits import MAX_ENTRIES
from featurizers.store.port import Logs, Pending, Request
from featurizers.store.wire import pack, unpack

LIBRARY = "headrace_1"
MAX_IN_FLIGHT = 4
_READ_BYTES = 1 << 20
_PASSING = ("LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF")


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
        try:
            pool = redis.ConnectionPool.from_url(
                settings.url,
                socket_connect_timeout=settings.connect_timeout_s,
                socket_timeout=settings.read_timeout_s,
                socket_read_size=_READ_BYTES,
                protocol=2,
                driver_info=None,
            )
        except ValueError as error:
            raise StoreRefused(f"the store's URL cannot be used: {error}") from None
        place = pool.connection_kwargs
        self._where = f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"
        self._connection: Any = pool.make_connection()
        self._in_flight: deque[_Sent] = deque()

    def submit(self, request: Request) -> Pending:
        """Sends a request and returns without waiting for the answer. Raises `StoreError`."""
        if len(self._in_flight) >= MAX_IN_FLIGHT:
            self.read_until(self._in_flight[0])
        settings = self._settings
        command = pack(request, settings.namespace, max_entries=settings.max_entries)
        with self._translated():
            self._connection.send_packed_command([command])
        sent = _Sent(self, request)
        self._in_flight.append(sent)
        return sent

    def check(self) -> None:
        """Returns when the server is reachable and has Headrace's functions; else `StoreError`."""
        if not self._ask("FUNCTION", "LIST", "LIBRARYNAME", LIBRARY):
            raise self._without_functions()

    def deploy_functions(self) -> None:
        """Loads the functions that requests call, replacing those of the same version."""
        code = files("featurizers.store").joinpath("functions.lua").read_text("utf-8")
        self._ask("FUNCTION", "LOAD", "REPLACE", code)

    def close(self) -> None:
        """Closes the connection; requests in flight fail with `StoreUnavailable`."""
        self._abandon(StoreUnavailable(f"the connection to the store at {self._where} was closed"))

    def read_until(self, wanted: _Sent) -> None:
        """Reads answers, oldest first, up to the wanted one."""
        while not wanted.done:
            try:
                with self._translated():
                    answer = self._connection.read_response(disable_decoding=True)
            except StoreError as error:
                if self._in_flight:  # a lost connection has failed them all already
                    self._settle(None, error)
            else:
                self._settle(answer, None)

    def _settle(self, answer: Any, error: StoreError | None) -> None:
        sent = self._in_flight.popleft()
        sent.answer, sent.error, sent.done = answer, error, True

    def _abandon(self, error: StoreError) -> None:
        self._connection.disconnect()
        while self._in_flight:
            self._settle(None, error)

    def _ask(self, *command: str) -> Any:
        while self._in_flight:
            self.read_until(self._in_flight[0])
        with self._translated():
            self._connection.send_command(*command)
            return self._connection.read_response()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the driver's errors into ours; without a connection nothing in flight is left."""
        try:
            yield
        except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            refused = StoreRefused(
                f"the store at {self._where} refused the credentials ({error}): "
                "check user and password of its URL"
            )
            self._abandon(refused)
            raise refused from None
        except redis.ResponseError as error:
            raise self._refusal(error) from None
        except redis.RedisError as error:
            lost = StoreUnavailable(f"the store at {self._where} does not answer: {error}")
            self._abandon(lost)
            raise lost from None
        except BaseException:  # half an exchange: later answers would go to the wrong requests
            self._abandon(StoreUnavailable(f"an exchange with {self._where} was interrupted"))
            raise

    def _refusal(self, error: redis.ResponseError) -> StoreError:
        text = f"{error.status_code or ''} {error}".strip()
        if "HRFORMAT" in text:
            return StoreFormatError(
                f"the store at {self._where} holds a log this version cannot read: {text}"
            )
        if text.startswith(_PASSING):
            return StoreUnavailable(f"the store at {self._where} cannot serve now: {text}")
        if "Function not found" in text:
            return self._without_functions()
        return StoreRefused(f"the store at {self._where} refused: {text}")

    def _without_functions(self) -> StoreRefused:
        return StoreRefused(
            f"the store at {self._where} lacks the function library {LIBRARY}: "
            "start it with `headrace up`, or load featurizers/store/functions.lua into it "
            "(FUNCTION LOAD)"
        )
