"""The label join's store in Redis or Valkey: one function call per batch, atomic there."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from typing import Any

from featurizers.errors import StoreError
from featurizers.store.connection import RedisConnection
from online_learning.errors import JoinStoreRefused, JoinStoreUnavailable
from online_learning.join_rows import LabelChange
from online_learning.join_store import LabelReply, PredictionReply, Tally

LIBRARY = "headrace_join_1"


class RedisJoinStore:
    """A `JoinStore` in one hash slot; the pipeline's name is the hash tag. For one thread."""

    def __init__(self, connection: RedisConnection, pipeline: str) -> None:
        self._connection = connection
        self._prefix = f"hj1:{{{pipeline}}}:"

    def deploy_functions(self) -> None:
        """Load the functions that calls need, replacing those of the same version."""
        code = files("streams").joinpath("join_functions.lua").read_text("utf-8")
        with _translated():
            self._connection.call("FUNCTION", "LOAD", "REPLACE", code)

    def add_predictions(
        self, days: Sequence[int], ids: Sequence[bytes], values: Sequence[bytes]
    ) -> list[PredictionReply | None]:
        """See `JoinStore.add_predictions`."""
        replies = self._call("predictions", _rows(days, ids, values)) if ids else ()
        return [PredictionReply(r[0], r[1] or None) if r else None for r in replies]

    def add_labels(
        self, days: Sequence[int], ids: Sequence[bytes], labels: Sequence[bytes]
    ) -> list[LabelReply]:
        """See `JoinStore.add_labels`."""
        replies = self._call("labels", _rows(days, ids, labels)) if ids else ()
        return [LabelReply(LabelChange(r[0]), r[1], r[2] or None) for r in replies]

    def tallies(self) -> dict[int, Tally]:
        """See `JoinStore.tallies`."""
        return {day: Tally(*counts) for day, *counts in self._call("tallies", ())}

    def drop(self, days: Iterable[int]) -> dict[int, Tally]:
        """See `JoinStore.drop`."""
        wanted = [str(day) for day in days]
        if not wanted:
            return {}
        return {day: Tally(*counts) for day, *counts in self._call("drop", wanted)}

    def _call(self, function: str, arguments: Iterable[str | bytes]) -> Any:
        with _translated():
            return self._connection.call(
                "FCALL", f"{LIBRARY}_{function}", 1, f"{self._prefix}days", self._prefix, *arguments
            )


def _rows(
    days: Sequence[int], ids: Sequence[bytes], values: Sequence[bytes]
) -> Iterator[str | bytes]:
    for day, event, value in zip(days, ids, values, strict=True):
        yield str(day)
        yield event
        yield value


@contextmanager
def _translated() -> Iterator[None]:
    """Give the errors of the connection the names that the port promises."""
    try:
        yield
    except StoreError as error:
        kind = JoinStoreUnavailable if error.retriable else JoinStoreRefused
        raise kind(str(error)) from error
