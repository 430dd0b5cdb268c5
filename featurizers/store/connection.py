"""One connection to Redis or Valkey: the place where the driver's errors become ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis

from featurizers.errors import StoreError, StoreFormatError, StoreRefused, StoreUnavailable

_READ_BYTES = 1 << 20
_PASSING = (
    *("LOADING", "BUSY", "READONLY", "MASTERDOWN", "CLUSTERDOWN", "TRYAGAIN", "MISCONF", "OOM"),
)
_NOT_OURS = ("HRFORMAT", "WRONGTYPE")


class RedisConnection:
    """Sends commands and reads their answers in order; for one thread.

    Nothing is connected before the first command, and a lost connection is made anew by the next
    one. Every wait ends after `connect_timeout_s` or `read_timeout_s`. `lost` counts how often the
    connection was given up: answers asked for before that never come.

    Raises `StoreUnavailable` (retriable) when the server cannot be reached, gives no answer in
    time or cannot serve now, `StoreFormatError` when a key holds what we did not write, and
    `StoreRefused` when it says no. No message shows a password.
    """

    def __init__(self, url: str, *, connect_timeout_s: float, read_timeout_s: float) -> None:
        try:
            pool = redis.ConnectionPool.from_url(
                url,
                socket_connect_timeout=connect_timeout_s,
                socket_timeout=read_timeout_s,
                socket_read_size=_READ_BYTES,
                protocol=2,
                driver_info=None,
            )
        except ValueError as error:
            raise StoreRefused(f"the store's URL cannot be used: {error}") from None
        place = pool.connection_kwargs
        self.where = f"{place.get('host', 'localhost')}:{place.get('port', 6379)}"
        self.lost = 0
        self._connection: Any = pool.make_connection()

    def send(self, packed: bytes) -> None:
        """Send one command, packed in the wire protocol, without waiting for its answer."""
        with self._translated():
            self._connection.send_packed_command([packed])

    def receive(self) -> Any:
        """The answer to the oldest command that has none yet; texts are bytes."""
        with self._translated():
            return self._connection.read_response(disable_decoding=True)

    def call(self, *command: str | bytes | int) -> Any:
        """Send a command and wait for its answer. No other may be unanswered."""
        with self._translated():
            self._connection.send_command(*command)
        return self.receive()

    def close(self) -> None:
        """Give the connection back; the next command makes a new one."""
        self.lost += 1
        self._connection.disconnect()

    def without_functions(self) -> StoreRefused:
        """What to say when the functions were not deployed."""
        return StoreRefused(
            f"the store at {self.where} lacks Headrace's functions: load them with "
            "`headrace prepare PIPELINE`"
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (redis.AuthenticationError, redis.exceptions.AuthorizationError) as error:
            self.close()
            raise StoreRefused(
                f"the store at {self.where} refused the credentials ({error}): "
                "check user and password of its URL"
            ) from None
        except redis.ResponseError as error:
            raise self._refusal(error) from None
        except redis.RedisError as error:
            self.close()
            raise StoreUnavailable(f"the store at {self.where} does not answer: {error}") from None
        except BaseException:  # half an exchange: later answers would go to the wrong commands
            self.close()
            raise

    def _refusal(self, error: redis.ResponseError) -> StoreError:
        text = f"{error.status_code or ''} {error}".strip()
        if text.startswith(_PASSING):
            return StoreUnavailable(f"the store at {self.where} cannot serve now: {text}")
        if any(sign in text for sign in _NOT_OURS):
            return StoreFormatError(
                f"the store at {self.where} holds a key this version cannot read: {text}"
            )
        if "Function not found" in text:
            return self.without_functions()
        return StoreRefused(f"the store at {self.where} refused: {text}")
