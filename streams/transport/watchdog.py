"""Ends a process that is alive and does nothing, after saying where it stands."""

import faulthandler
import logging
import os
import sys
import threading
import time
from collections.abc import Callable

from streams.errors import StreamError
from streams.transport.batch import TopicPartition
from streams.transport.lane import Progress
from streams.transport.reader import first_unread
from streams.transport.settings import TransportSettings
from streams.transport.topics import committed_offsets, start_offsets

log = logging.getLogger(__name__)

EXIT_STALLED = 70

_PROBE_S = 5.0

Positions = dict[TopicPartition, int | None]
Probe = Callable[[Positions], dict[TopicPartition, int]]


class Watchdog:
    """Looks, from a thread of its own, for three ways of standing still.

    - the event loop has not turned for ``stall_s``;
    - a batch is unfinished for ``stall_s`` and nothing is known to be down;
    - a partition is assigned, silent for ``stall_s``, and yet holds a record that was not
      read: a second consumer has fetched it (a high watermark alone would also count
      transaction markers, which nobody reads).

    The first sight writes one line and all stacks to standard error; if half a ``stall_s``
    later it still stands, the process ends with code 70 for its supervisor.
    """

    def __init__(
        self,
        settings: TransportSettings,
        progress: Progress,
        *,
        clock: Callable[[], float] = time.monotonic,
        probe: Probe | None = None,
        exit_process: Callable[[int], None] = os._exit,
    ) -> None:
        self._stall_s = settings.stall_s
        self._progress = progress
        self._clock = clock
        self._probe = probe or (lambda positions: unread_records(settings, positions))
        self._exit_process = exit_process
        self._stopped = threading.Event()
        self._suspect_since: float | None = None
        self._probed_at = float("-inf")
        self._unread: dict[TopicPartition, int] = {}
        self._thread = threading.Thread(target=self._watch, name="headrace-watchdog", daemon=True)

    def start(self) -> None:
        """Begin to look, a few times per ``stall_s``."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._stopped.set()

    def check(self) -> str | None:
        """Look once: warn at the first sight of a stall, end the process at the second.

        Returns what stands still, or ``None``.
        """
        now = self._clock()
        stall = self._stall(now)
        if stall is None:
            self._suspect_since = None
        elif self._suspect_since is None:
            self._suspect_since = now
            log.error("not advancing: %s; stacks follow, the process ends if this goes on", stall)
            faulthandler.dump_traceback(sys.stderr, all_threads=True)
        elif now - self._suspect_since >= self._stall_s / 2:
            log.critical("still not advancing: %s; ending for the supervisor to restart", stall)
            self._exit_process(EXIT_STALLED)
        return stall

    def _watch(self) -> None:
        while not self._stopped.wait(self._stall_s / 10):
            self.check()

    def _stall(self, now: float) -> str | None:
        progress = self._progress
        if now - progress.turned_at > self._stall_s:
            return f"the event loop has not turned for {now - progress.turned_at:.0f} s"
        if progress.waiting:
            return None
        oldest = progress.oldest_polled_at
        if oldest is not None and now - oldest > self._stall_s:
            return f"a batch is unfinished for {now - oldest:.0f} s"
        return self._silent_partition(now)

    def _silent_partition(self, now: float) -> str | None:
        silent = {
            at: offset
            for at, offset in list(self._progress.next_offset.items())
            if now - self._progress.moved_at.get(at, now) > self._stall_s
        }
        if now - self._probed_at >= self._stall_s / 2:
            self._probed_at = now
            self._unread = self._look_for(silent) if silent else {}
        for at, offset in self._unread.items():
            position = silent.get(at)
            if at in silent and (position is None or position <= offset):
                return f"{at} holds a record at offset {offset} that was not read"
        return None

    def _look_for(self, silent: Positions) -> dict[TopicPartition, int]:
        try:
            return self._probe(silent)
        except StreamError as failure:
            log.warning("could not look for unread records: %s", failure)
            return {}


def unread_records(settings: TransportSettings, positions: Positions) -> dict[TopicPartition, int]:
    """Offset of the first record at or after each position; partitions at their end are absent.

    Where no position is known yet, the group's commit counts, or the beginning without one.

    Raises
    ------
    StreamError
        The broker could not be asked.
    """
    unknown = [at for at, offset in positions.items() if offset is None]
    known = {at: offset for at, offset in positions.items() if offset is not None}
    if unknown:
        committed = committed_offsets(settings, unknown, deadline_s=_PROBE_S)
        if settings.start_at == "earliest":
            known |= start_offsets(settings, unknown, deadline_s=_PROBE_S)
        known |= committed
    return first_unread(settings, known, deadline_s=_PROBE_S)
