"""The port of a drift detector: it watches one series and says how far it has moved.

A detector is three things kept apart: an immutable config that can build it, the logic, and a
state of plain data that `snapshot` gives and `restore` takes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from online_learning.batches import FloatArray, IntArray
from online_learning.detectors.bins import Histogram


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a detector found up to one moment of event time.

    Attributes
    ----------
    at_ms, since_ms:
        The moment, and, while the threshold is exceeded, when the change seems to have begun.
    effect, threshold:
        The effect size in the detector's own measure, and the one from which it counts.
    baseline_mean, current_mean:
        Mean of the series before and now; NaN where there was no finite value.
    reference, current:
        Histograms over the same bins, where the detector has them.
    """

    at_ms: int
    since_ms: int
    effect: float
    threshold: float
    baseline_mean: float
    current_mean: float
    reference: Histogram | None = None
    current: Histogram | None = None

    @property
    def exceeded(self) -> bool:
        """The effect has reached the threshold."""
        return self.effect >= self.threshold


class Detector(Protocol):
    """Watches one series of numbers in event time.

    Observing in one call or in many, between the same calls of `evaluate`, comes to the same.
    Memory is bounded whatever comes in. Touches no clock and no randomness.
    """

    def observe(self, times_ms: IntArray, values: FloatArray) -> None:
        """Take in n values (float64[n]; NaN is a missing one) with their event times int64[n]."""
        ...

    def evaluate(self, watermark_ms: int) -> Sequence[Evaluation]:
        """The evaluations that fell due up to event time `watermark_ms`, oldest first.

        Call it with times that never go back, after everything up to then was observed.
        """
        ...

    def snapshot(self) -> bytes:
        """All state, without executable content."""
        ...

    def restore(self, state: bytes) -> None:
        """Continue exactly from a `snapshot` of a detector of the same config.

        Raises `SnapshotError` when it is damaged or of another version.
        """
        ...
