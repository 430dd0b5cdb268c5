"""Whether the online path and the offline one agree on a history, value by value."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from deploy.bootstrap import feature_store
from deploy.loading import load_store
from deploy.settings import Settings
from featurizers.facts import Facts
from featurizers.offline import compute
from featurizers.online import OnlineFeatures
from featurizers.parity import ParityReport, compare, distances
from featurizers.store.port import FeatureStore
from streams.history import History
from streams.pipeline import Pipeline

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

BATCH_RECORDS = 512
LABEL_IN_BATCH = (
    "a label that became known after the event came in the same micro-batch, "
    "and is appended before its events"
)
CUT_BY_SIZE = "the store had cut logs that outgrew its largest size"


@dataclass(frozen=True, slots=True)
class ParityRun:
    """What was replayed, and how the two paths compare.

    Attributes
    ----------
    events, labels, micro_batches:
        What went through the online path.
    history_entries:
        Entries of earlier history that the store was loaded with before.
    """

    report: ParityReport
    events: int
    labels: int
    micro_batches: int
    history_entries: int


@dataclass(frozen=True, slots=True)
class _Batch:
    events: slice
    labels: slice


@dataclass(frozen=True, slots=True)
class _Replayed:
    values: Floats
    first_cut: int | None


@contextmanager
def scratch_store(pipeline: Pipeline, settings: Settings, namespace: str) -> Iterator[FeatureStore]:
    """The pipeline's store under a namespace of its own, empty, and removed with the block.

    Raises `StoreError`, also when what was written cannot be removed.
    """
    store = feature_store(replace(pipeline, name=namespace), settings)
    store.check()
    try:
        yield store
    finally:
        try:
            store.remove_all()
        finally:
            store.close()


def check_parity(
    history: History,
    store: FeatureStore,
    *,
    from_ms: int | None = None,
    max_events: int | None = None,
    threads: int = 1,
    batch_records: int = BATCH_RECORDS,
    progress: Callable[[int, int], None] = lambda *_: None,
) -> ParityRun:
    """Replays a history into an empty store and compares with the same features offline.

    Events and labels go through the online path in the order of event time and of becoming known,
    `batch_records` at a time. What was known before `from_ms` is loaded first, as for a worker that
    starts then. `progress` is told the events done and those to do. Raises the errors of
    `featurizers`.
    """
    times, known = history.event_times_ms, history.label_known_at_ms
    first = 0 if from_ms is None else int(np.searchsorted(times, from_ms))
    last = len(times) if max_events is None else min(len(times), first + max_events)
    first_label = 0 if from_ms is None else int(np.searchsorted(known, from_ms))
    loaded = 0
    if from_ms is not None:
        loaded = load_store(
            history.pipeline, history, store, to_ms=from_ms, progress=lambda *_: None
        )
    events, labels = rows_of(history.events_facts(), slice(0, last)), history.labels_facts()
    batches = list(_batches(times[:last], known, first, first_label, batch_records))
    features = history.pipeline.features
    online = OnlineFeatures(features, store, time.perf_counter)
    replayed = _replay(online, events, labels, batches, progress)
    offline = compute(features, events, labels, known, threads=threads)[first:]
    explained = {}
    if distances(replayed.values, offline).any():
        arrived = _arrival_by_batch(known, times, batches)
        by_batch = compute(features, events, labels, arrived, threads=threads)[first:]
        explained[LABEL_IN_BATCH] = distances(replayed.values, by_batch) == 0
        if replayed.first_cut is not None:
            after_cut = np.arange(len(offline)) >= replayed.first_cut
            explained[CUT_BY_SIZE] = np.repeat(after_cut[:, None], offline.shape[1], axis=1)
    return ParityRun(
        compare(
            history.event_ids[first:last],
            features.names,
            replayed.values,
            offline,
            explained=explained,
        ),
        events=last - first,
        labels=batches[-1].labels.stop - first_label if batches else 0,
        micro_batches=len(batches),
        history_entries=loaded,
    )


def rows_of(facts: Facts, rows: slice) -> Facts:
    """Some consecutive records of `facts`."""
    return Facts(
        facts.source,
        facts.ids[rows],
        facts.times_ms[rows],
        {entity: keys[rows] for entity, keys in facts.keys.items()},
        {name: values[rows] for name, values in facts.values.items()},
    )


def _batches(times: Ints, known: Ints, event: int, label: int, records: int) -> Iterator[_Batch]:
    """Runs of consecutive records up to the last event; of one millisecond labels come first."""
    when = np.concatenate([known[label:], times[event:]])
    is_event = np.arange(len(when)) >= len(known) - label
    is_event = is_event[np.argsort(when, kind="stable")]
    end = int(np.flatnonzero(is_event)[-1]) + 1 if is_event.any() else 0
    for start in range(0, end, records):
        part = is_event[start : min(start + records, end)]
        events = int(part.sum())
        labels = len(part) - events
        yield _Batch(slice(event, event + events), slice(label, label + labels))
        event, label = event + events, label + labels


def _replay(
    online: OnlineFeatures,
    events: Facts,
    labels: Facts,
    batches: list[_Batch],
    progress: Callable[[int, int], None],
) -> _Replayed:
    first = batches[0].events.start if batches else len(events)
    values = np.empty((len(events) - first, len(online.features.features)))
    first_cut: int | None = None
    for batch in batches:
        found = online.submit(rows_of(events, batch.events), rows_of(labels, batch.labels)).result()
        start, stop = batch.events.start - first, batch.events.stop - first
        values[start:stop] = found.values
        if found.cut_by_size and first_cut is None:
            first_cut = start
        progress(stop, len(values))
    return _Replayed(values, first_cut)


def _arrival_by_batch(known: Ints, times: Ints, batches: list[_Batch]) -> Ints:
    """When labels became known, had each come with the first event of its micro-batch."""
    arrived = known.copy()
    for batch in batches:
        if batch.events.start < batch.events.stop:
            first_ms = times[batch.events.start]
            arrived[batch.labels] = np.minimum(arrived[batch.labels], first_ms)
    return arrived
