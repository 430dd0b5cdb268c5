"""How good the predictions were: over all labelled ones, and over event time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from deploy.report.columns import Bools, Floats, Ints, Run
from inference.evaluation import average_precision, log_loss, roc_auc

DAY_MS = 86_400_000
MIN_POSITIVES = 5


@dataclass(frozen=True, slots=True)
class Labelled:
    """One role's scores beside the truth, one row an event.

    Attributes
    ----------
    customer:
        int64 [n]: the topic's key, as a number.
    """

    event_time_ms: Ints
    customer: Ints
    score: Floats
    label: Bools


@dataclass(frozen=True, slots=True)
class Windows:
    """Metrics of one role over consecutive event-time windows; NaN where too few positives."""

    middle_ms: Ints
    auc: Floats
    average_precision: Floats
    log_loss: Floats


def labelled(run: Run, role: str) -> Labelled:
    """The rows of `role` whose label is known, in event-time order.

    The scores of the champion come from the predictions topic itself (first copy of each id),
    those of other roles from the outcomes, since only the monitor makes them.
    """
    predictions, outcomes = run.predictions, run.outcomes
    ids, first = np.unique(predictions.id_hash, return_index=True)
    if not len(ids) or not len(outcomes):
        empty = np.empty(0)
        return Labelled(empty.astype(int), empty.astype(int), empty, empty.astype(bool))
    at = np.minimum(np.searchsorted(ids, outcomes.id_hash), len(ids) - 1)
    known = ids[at] == outcomes.id_hash
    rows = first[at]
    score = predictions.score[rows] if role == "champion" else outcomes.scores[role]
    keep = np.flatnonzero(known & np.isfinite(score))
    keep = keep[np.argsort(outcomes.event_time_ms[keep], kind="stable")]
    return Labelled(
        outcomes.event_time_ms[keep],
        predictions.key[rows[keep]],
        score[keep],
        outcomes.label[keep],
    )


def roles(run: Run) -> list[str]:
    """The champion, then whatever other models scored outcomes."""
    return ["champion", *sorted(set(run.outcomes.scores) - {"champion"})]


def both_classes(label: Bools) -> bool:
    """Whether ranking metrics are defined: there are positives and negatives."""
    return bool(label.any() and not label.all())


def over_event_time(rows: Labelled, width_ms: int) -> Windows:
    """Metrics of each window of `width_ms`, aligned to multiples of it since the epoch."""
    window = rows.event_time_ms // width_ms
    starts, begin = np.unique(window, return_index=True)
    ends = np.append(begin[1:], len(window))
    values = np.full((3, len(starts)), np.nan)
    for column, (low, high) in enumerate(zip(begin, ends, strict=True)):
        score, label = rows.score[low:high], rows.label[low:high]
        values[2, column] = log_loss(score, label)
        if MIN_POSITIVES <= label.sum() < len(label):
            values[0, column] = roc_auc(score, label)
            values[1, column] = average_precision(score, label)
    middle = starts * width_ms + width_ms // 2
    return Windows(middle, values[0], values[1], values[2])
