"""Population stability index of whole-day windows against a fixed reference window."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from online_learning.batches import FloatArray, IntArray
from online_learning.detectors.bins import Bins, stability
from online_learning.detectors.port import Evaluation
from online_learning.errors import SnapshotError

STATE_VERSION = 1
MAX_PENDING = 65_536
MAX_PANES_AHEAD = 256
MAX_CATCH_UP = 64
ELEVATED_FROM = 0.125


@dataclass(frozen=True, slots=True)
class PsiConfig:
    """How a PSI detector is set; `build` makes it.

    Attributes
    ----------
    start_ms:
        Where the reference window begins.
    reference_ms, window_ms:
        Length of the reference window and of the current one. Whole days, or the time of day
        itself is taken for drift.
    panes:
        Evaluations in a window: it slides by `window_ms / panes`.
    threshold:
        Of the index. 0.1 is usually read as some change and 0.2 or 0.25 as a great one.
    min_values:
        A window of fewer is not evaluated; a reference of fewer is extended by another window.
    max_reference:
        Values kept of the reference window; beyond them every second one goes, evenly.
    """

    start_ms: int
    reference_ms: int
    window_ms: int
    threshold: float
    panes: int = 4
    min_values: int = 500
    max_reference: int = 50_000

    def build(self) -> Psi:
        """A detector that has seen nothing."""
        return Psi(self)


@dataclass(slots=True)
class _Pane:
    counts: IntArray
    total: float = 0.0
    finite: int = 0

    def add(self, counts: IntArray, values: FloatArray) -> None:
        finite = values[np.isfinite(values)]
        self.counts = self.counts + counts
        # Added one by one, so that the sum does not depend on how the values were batched.
        self.total = float(np.cumsum(np.r_[self.total, finite])[-1])
        self.finite += len(finite)


class _PaneState(msgspec.Struct, frozen=True, array_like=True):
    index: int
    counts: list[int]
    total: float
    finite: int


class _State(msgspec.Struct, frozen=True):
    version: int
    reference_end_ms: int
    reference: bytes
    reference_read: int
    stride: int
    edges: bytes | None
    reference_counts: list[int]
    reference_mean: float
    pending: list[tuple[int, float]]
    panes: list[_PaneState]
    closed: int
    elevated_since_ms: int | None
    ignored: int


class Psi:
    """Holds every window of a series against the series' own beginning.

    The reference is what was seen in the first `reference_ms`; it is summed up in bins (see
    `Bins`) and never changes. Windows slide by panes, and a pane is closed by the watermark; what
    comes for a closed pane is late and left out.

    Half a microsecond a value in large batches. Memory: the reference sample, at most
    `max_reference` values, until the reference window is over; after that the bins' counts alone.

    Source: Siddiqi, "Credit risk scorecards", 2006; as a divergence, Jeffreys, 1946.
    """

    def __init__(self, config: PsiConfig) -> None:
        self.config = config
        self._pane_ms = config.window_ms // config.panes
        self._reference_end_ms = config.start_ms + config.reference_ms
        self._reference = np.zeros(0)
        self._reference_read = 0
        self._stride = 1
        self._bins: Bins | None = None
        self._reference_counts = np.zeros(0, dtype=np.int64)
        self._reference_mean = math.nan
        self._pending: list[tuple[int, float]] = []
        self._panes: dict[int, _Pane] = {}
        self._closed = -1
        self._elevated_since_ms: int | None = None
        self.ignored = 0

    def observe(self, times_ms: IntArray, values: FloatArray) -> None:
        """See `Detector.observe`. Values of closed panes and of the far future are left out."""
        if self._bins is None:
            self._observe_reference(times_ms, values)
        else:
            self._observe_current(times_ms, values, self._bins)

    def evaluate(self, watermark_ms: int) -> Sequence[Evaluation]:
        """See `Detector.evaluate`: one for each pane that was closed and has a full window."""
        if self._bins is None and not self._close_reference(watermark_ms):
            return ()
        newest = (watermark_ms - self._reference_end_ms) // self._pane_ms - 1
        # After a long gap in event time only the last panes can hold anything.
        first = max(self._closed + 1, newest + 1 - MAX_CATCH_UP)
        found = [e for pane in range(first, newest + 1) if (e := self._window(pane)) is not None]
        self._closed = max(self._closed, newest)
        oldest = self._closed + 1 - self.config.panes
        self._panes = {k: pane for k, pane in self._panes.items() if k > oldest}
        return found

    def snapshot(self) -> bytes:
        """See `Detector.snapshot`."""
        return msgspec.msgpack.encode(
            _State(
                version=STATE_VERSION,
                reference_end_ms=self._reference_end_ms,
                reference=self._reference.tobytes(),
                reference_read=self._reference_read,
                stride=self._stride,
                edges=self._bins.edges.tobytes() if self._bins else None,
                reference_counts=self._reference_counts.tolist(),
                reference_mean=self._reference_mean,
                pending=self._pending,
                panes=[
                    _PaneState(k, pane.counts.tolist(), pane.total, pane.finite)
                    for k, pane in self._panes.items()
                ],
                closed=self._closed,
                elevated_since_ms=self._elevated_since_ms,
                ignored=self.ignored,
            )
        )

    def restore(self, state: bytes) -> None:
        """See `Detector.restore`."""
        try:
            saved = msgspec.msgpack.decode(state, type=_State)
        except msgspec.MsgspecError as error:
            raise SnapshotError(f"psi: {error}") from error
        if saved.version != STATE_VERSION:
            raise SnapshotError("psi: the snapshot is of another version")
        self._reference_end_ms = saved.reference_end_ms
        self._reference = np.frombuffer(saved.reference)
        self._reference_read, self._stride = saved.reference_read, saved.stride
        self._bins = None if saved.edges is None else Bins(np.frombuffer(saved.edges))
        self._reference_counts = np.array(saved.reference_counts, dtype=np.int64)
        self._reference_mean = saved.reference_mean
        self._pending = list(saved.pending)
        self._panes = {
            pane.index: _Pane(np.array(pane.counts, dtype=np.int64), pane.total, pane.finite)
            for pane in saved.panes
        }
        self._closed, self.ignored = saved.closed, saved.ignored
        self._elevated_since_ms = saved.elevated_since_ms

    def _observe_reference(self, times_ms: IntArray, values: FloatArray) -> None:
        inside = (times_ms >= self.config.start_ms) & (times_ms < self._reference_end_ms)
        later = times_ms >= self._reference_end_ms
        self.ignored += int((times_ms < self.config.start_ms).sum())
        self._sample(values[inside])
        room = MAX_PENDING - len(self._pending)
        waiting = list(zip(times_ms[later].tolist(), values[later].tolist(), strict=True))
        self._pending += waiting[:room]
        self.ignored += len(waiting[room:])

    def _sample(self, values: FloatArray) -> None:
        """Keep the values whose number is a multiple of the stride; few enough of them."""
        numbers = np.arange(self._reference_read, self._reference_read + len(values))
        self._reference_read += len(values)
        self._reference = np.r_[self._reference, values[numbers % self._stride == 0]]
        while len(self._reference) > self.config.max_reference:
            self._reference = self._reference[::2]
            self._stride *= 2

    def _close_reference(self, watermark_ms: int) -> bool:
        while watermark_ms >= self._reference_end_ms:
            if len(self._reference) >= self.config.min_values:
                self._freeze_reference()
                return True
            self._extend_reference(watermark_ms)
        return False

    def _freeze_reference(self) -> None:
        finite = self._reference[np.isfinite(self._reference)]
        self._reference_mean = float(finite.mean()) if len(finite) else math.nan
        self._bins = Bins.of(self._reference)
        self._reference_counts = self._bins.count(self._reference)
        self._reference = np.zeros(0)
        times = np.array([t for t, _ in self._pending], dtype=np.int64)
        values = np.array([v for _, v in self._pending], dtype=np.float64)
        self._pending = []
        self._observe_current(times, values, self._bins)

    def _extend_reference(self, watermark_ms: int) -> None:
        """Too few values so far: let the reference end a window later, or at the watermark."""
        window_ms = self.config.window_ms
        empty_windows = (watermark_ms - self._reference_end_ms) // window_ms
        self._reference_end_ms += window_ms * (1 if self._pending else 1 + empty_windows)
        inside = [value for t, value in self._pending if t < self._reference_end_ms]
        self._pending = [(t, v) for t, v in self._pending if t >= self._reference_end_ms]
        self._sample(np.array(inside, dtype=np.float64))

    def _observe_current(self, times_ms: IntArray, values: FloatArray, bins: Bins) -> None:
        panes = (times_ms - self._reference_end_ms) // self._pane_ms
        known = (panes > self._closed) & (panes <= self._closed + MAX_PANES_AHEAD)
        self.ignored += int((~known).sum())
        for number in np.unique(panes[known]).tolist():
            inside = values[panes == number]
            pane = self._panes.get(number)
            if pane is None:
                pane = self._panes[number] = _Pane(np.zeros(len(bins), dtype=np.int64))
            pane.add(bins.count(inside), inside)

    def _window(self, pane: int) -> Evaluation | None:
        first = pane + 1 - self.config.panes
        panes = [self._panes[k] for k in range(first, pane + 1) if k in self._panes]
        if self._bins is None or first < 0 or not panes:
            return None
        counts = np.sum([p.counts for p in panes], axis=0)
        if counts.sum() < self.config.min_values:
            return None
        finite = sum(p.finite for p in panes)
        effect = float(stability(self._reference_counts, counts).sum())
        end_ms = self._reference_end_ms + (pane + 1) * self._pane_ms
        since_ms = end_ms - self._pane_ms
        if effect < ELEVATED_FROM * self.config.threshold:
            self._elevated_since_ms = None
        elif self._elevated_since_ms is None:
            self._elevated_since_ms = since_ms
        else:
            since_ms = self._elevated_since_ms
        return Evaluation(
            at_ms=end_ms,
            since_ms=since_ms,
            effect=effect,
            threshold=self.config.threshold,
            baseline_mean=self._reference_mean,
            current_mean=sum(p.total for p in panes) / finite if finite else math.nan,
            reference=self._bins.histogram(self._reference_counts),
            current=self._bins.histogram(counts),
        )
