"""What one entity's features are at a moment, and the entries behind them: for people who look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurizers.definitions import EVENTS, SOURCES, Entity, FeatureSet, WindowFeature
from featurizers.kernel import LogRows, fill_windows
from featurizers.layout import FIRST_VALUE, SOURCE_BITS, SOURCE_MASK, EntityLayout, source_code
from featurizers.plan import plan_of

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SeenEntry:
    """An entry of a log.

    Attributes
    ----------
    time_ms, source:
        Event time, and `events` or `labels`.
    identity:
        16 hex digits: the xxh3-64 of the record's id, which itself is not kept.
    values:
        Record field -> value, descaled.
    features:
        The features whose window it lies in.
    """

    time_ms: int
    source: str
    identity: str
    values: dict[str, float]
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EntityView:
    """An entity's window features as of `as_of_ms`, and its log up to then, in arrival order.

    `reaching_beyond` names the features whose window begins before the oldest entry: where the log
    was cut, or loaded without what no later event needs, they may count too little.
    """

    as_of_ms: int
    values: dict[str, float]
    reaching_beyond: tuple[str, ...]
    entries: tuple[SeenEntry, ...]


def view(
    features: FeatureSet, entity: Entity, entries: Ints, as_of_ms: int | None = None
) -> EntityView:
    """The features over a log (int64[n, width], n > 0), by the kernel that serves them.

    As of a moment means: over the log as it stood before its first event later than that moment,
    with windows that end there. Logs do not keep when a label arrived; one that came later, but
    before the next event, is counted if it lies in the window. By default the moment is the newest
    entry's event time, over the whole log.
    """
    plan = plan_of(features, entity)
    times = entries[:, 0] >> SOURCE_BITS
    as_of = int(times.max()) if as_of_ms is None else as_of_ms
    is_event = (entries[:, 0] & SOURCE_MASK) == source_code(EVENTS)
    later = np.flatnonzero(is_event & (times > as_of))
    n = int(later[0]) if len(later) else len(entries)
    out = np.zeros((1, len(features.features)))
    zero = np.zeros(1, np.int64)
    words = np.ascontiguousarray(entries).reshape(-1)
    rows = LogRows(words, zero, zero + len(entries), zero, zero + n, zero + as_of)
    fill_windows(plan, rows, out)
    wanted = features.of_entity(entity)
    return EntityView(
        as_of_ms=as_of,
        values={f.name: float(out[0, features.names.index(f.name)]) for f in wanted},
        reaching_beyond=tuple(
            f.name for f in wanted if as_of - f.window.reach_ms < int(times.min())
        ),
        entries=tuple(_seen(row, plan.layout, wanted, as_of) for row in entries[:n].tolist()),
    )


def _seen(
    row: list[int], layout: EntityLayout, wanted: tuple[WindowFeature, ...], as_of_ms: int
) -> SeenEntry:
    time_ms, source = row[0] >> SOURCE_BITS, SOURCES[row[0] & SOURCE_MASK]
    values = dict(layout.values).get(source, ())
    age_ms = as_of_ms - time_ms
    return SeenEntry(
        time_ms=time_ms,
        source=source,
        identity=f"{row[1] & 0xFFFF_FFFF_FFFF_FFFF:016x}",
        values={v.field: row[i] / v.scale for i, v in enumerate(values, FIRST_VALUE)},
        features=tuple(
            f.name
            for f in wanted
            if f.source == source and f.window.delay_ms <= age_ms < f.window.reach_ms
        ),
    )
