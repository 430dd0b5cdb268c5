"""What a pipeline says of its monitors: learners, metrics windows and detectors."""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class MonitorSpec:
    """How a pipeline's predictions are watched.

    Attributes
    ----------
    horizon_ms:
        Event time that a prediction waits for its label; after that it counts as unlabelled.
    metrics_window_ms:
        Length of the sliding event-time window of the prequential metrics.
    reference_ms:
        Event time, from the first prediction seen, that makes up the features' reference window.
    current_ms:
        Length of the event-time window that is held against the reference.
    psi_threshold:
        Population stability index from which a feature or the score counts as drifted.
    """

    horizon_ms: int = 30 * DAY_MS
    metrics_window_ms: int = 7 * DAY_MS
    reference_ms: int = 4 * DAY_MS
    current_ms: int = 1 * DAY_MS
    psi_threshold: float = 0.2
