"""Which part of which files is replayed, so that a stopped replay can be told from another."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from streams.history import count_events, iter_history
from streams.pipeline import Pipeline
from streams.timeline import Stretch, timeline


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayPlan:
    """A choice of records in a fixed order; equal plans over unchanged files are equal sequences.

    Attributes
    ----------
    from_ms, to_ms:
        Events with `from_ms <= time < to_ms`; labels of events before `to_ms` that became known
        from `from_ms` on. `None` is open.
    max_events:
        No more events than this, nor labels of later ones.
    labels:
        Whether labels are sent at all.
    labels_after_end:
        Whether those are sent that became known after the last event.
    """

    pipeline: Pipeline
    files: tuple[Path, ...]
    from_ms: int | None = None
    to_ms: int | None = None
    max_events: int | None = None
    labels: bool = True
    labels_after_end: bool = True

    def stretches(self) -> Iterator[Stretch]:
        """The records, read as they are asked for; raises `DataFileError`."""
        pieces = iter_history(self.pipeline, self.files, self.from_ms, self.to_ms)
        return timeline(
            pieces,
            labels=self.labels,
            labels_after_end=self.labels_after_end,
            max_events=self.max_events,
        )

    def events(self) -> int:
        """How many events there are; raises `DataFileError`."""
        count = count_events(self.pipeline, self.files, self.from_ms, self.to_ms)
        return count if self.max_events is None else min(count, self.max_events)

    def fingerprint(self) -> str:
        """16 hex digits that name the sequence: pipeline, range, and the files as they are now."""
        files = [(str(f.resolve()), f.stat().st_size, f.stat().st_mtime_ns) for f in self.files]
        choice = (self.from_ms, self.to_ms, self.max_events, self.labels, self.labels_after_end)
        text = json.dumps([self.pipeline.name, files, choice])
        return hashlib.sha256(text.encode()).hexdigest()[:16]
