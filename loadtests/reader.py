"""The separate consumer: a process that reads answers and notes when each was read."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec

from loadtests.companion import Stopped, serve
from loadtests.ledger import Ledger
from streams.transport.batch import KafkaRecord
from streams.transport.reader import follow
from streams.transport.settings import TransportSettings


class ReaderOrder(msgspec.Struct, frozen=True):
    """What is read, and where the moments are noted.

    Attributes
    ----------
    prefix:
        What the ids of this run's events begin with; their number follows.
    id_field:
        Where the id stands in an answer.
    """

    settings: TransportSettings
    topic: str
    ledger: str
    events: int
    prefix: str
    id_field: str
    deadline_s: float


class Answers:
    """Tells from an answer's bytes which event it answers."""

    def __init__(self, ledger: Ledger, *, prefix: str, id_field: str) -> None:
        self._ledger = ledger
        self._prefix = prefix
        answer = msgspec.defstruct("Answer", [("id", str)], rename={"id": id_field})
        self._decode: Callable[[bytes], Any] = msgspec.json.Decoder(answer).decode

    def note(self, records: Iterable[KafkaRecord], read_at_s: float) -> None:
        """Note the answers that were read together at `read_at_s`."""
        for record in records:
            try:
                name: str = self._decode(record.value() or b"").id
            except msgspec.DecodeError:
                name = ""
            number = name.removeprefix(self._prefix)
            if name.startswith(self._prefix) and number.lstrip("-").isdecimal():
                self._ledger.note(int(number), read_at_s)
            else:
                self._ledger.note_stranger()


def read(order: ReaderOrder, say_ready: Callable[[], None], stopped: Stopped) -> None:
    """Read what arrives from now on, until told to stop."""
    ledger = Ledger(Path(order.ledger), order.events)
    answers = Answers(ledger, prefix=order.prefix, id_field=order.id_field)
    unready = True
    for records in follow(order.settings, order.topic, deadline_s=order.deadline_s):
        answers.note(records, time.monotonic())
        if unready:
            say_ready()
            unready = False
        if stopped():
            return


if __name__ == "__main__":
    serve(ReaderOrder, read)
