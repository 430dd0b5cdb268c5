"""When each event's answer was read, in a file that the sending and the reading process share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

PROBE = -1
"""The number of the event that asks, before the run, whether anything answers."""
_HEAD = 3
_LOOK_EVENTS = 4_096
_PROBE, _REPEATS, _STRANGERS = range(_HEAD)


class Ledger:
    """The moment of reading of each of n answers, by event number.

    Moments are of the machine's monotonic clock, which all processes share. One process writes;
    what it wrote is seen at once by the others.
    """

    def __init__(self, path: Path, events: int, *, create: bool = False) -> None:
        self._cells = np.memmap(
            path, dtype=np.float64, mode="w+" if create else "r+", shape=(_HEAD + events,)
        )
        self.read_at_s = self._cells[_HEAD:]
        """float64[n], 0 where no answer was read."""
        self._first_open = 0

    def note(self, number: int, read_at_s: float) -> None:
        """The answer to event `number` was read; of repeated ones the first counts."""
        if number == PROBE:
            self._cells[_PROBE] = read_at_s
        elif not 0 <= number < len(self.read_at_s):
            self._cells[_STRANGERS] += 1
        elif self.read_at_s[number]:
            self._cells[_REPEATS] += 1
        else:
            self.read_at_s[number] = read_at_s

    def note_stranger(self) -> None:
        """A record was read that answers no event of this run."""
        self._cells[_STRANGERS] += 1

    @property
    def probe_answered(self) -> bool:
        """Whether the probe's answer was read."""
        return bool(self._cells[_PROBE])

    @property
    def repeats(self) -> int:
        """Answers to events that were answered before."""
        return int(self._cells[_REPEATS])

    @property
    def strangers(self) -> int:
        """Records on the topic that answer no event of this run."""
        return int(self._cells[_STRANGERS])

    def first_unanswered(self, sent: int) -> int:
        """The number of the first of `sent` events without an answer; `sent` when there is none."""
        while self._first_open < sent:
            part = self.read_at_s[self._first_open : min(self._first_open + _LOOK_EVENTS, sent)]
            waiting = np.flatnonzero(part == 0)
            if len(waiting):
                self._first_open += int(waiting[0])
                return self._first_open
            self._first_open += len(part)
        return sent
