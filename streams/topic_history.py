"""The history that a pipeline's own topics still hold: what training uses when no file is given."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from featurizers.definitions import EVENTS, LABELS
from streams.codec import RecordDecoder
from streams.conversion import fields_of
from streams.history import History
from streams.history_files import empty_table
from streams.pipeline import EventSchema, Pipeline
from streams.transport.reader import read_topic
from streams.transport.settings import TransportSettings


def read_topics(pipeline: Pipeline, settings: TransportSettings, now_ms: int) -> History:
    """Events and labels of the topics as they are now; what a worker would reject is left out.

    An event sent twice stands twice: features count it once, as they do live. Raises
    `TopicMismatch` when a topic does not exist, `BrokerUnavailable` when reading stops short.
    """
    events = _table(pipeline, pipeline.events, EVENTS, settings, now_ms)
    labels = _table(pipeline, pipeline.labels, LABELS, settings, now_ms)
    return History.ordered(pipeline, events, labels)


def _table(
    pipeline: Pipeline, schema: EventSchema, source: str, settings: TransportSettings, now_ms: int
) -> Any:
    batches = list(_batches(pipeline, schema, source, settings, now_ms))
    return pa.concat_tables([empty_table(schema), *batches], promote_options="permissive")


def _batches(
    pipeline: Pipeline, schema: EventSchema, source: str, settings: TransportSettings, now_ms: int
) -> Iterator[Any]:
    decoder = RecordDecoder(schema, pipeline.features, source)
    names = [f.name for f in fields_of(schema.record)]
    for records in read_topic(settings, pipeline.topic(source)):
        rows = decoder.decode(records, now_ms).rows
        if rows:
            yield pa.table({name: [getattr(row, name) for row in rows] for name in names})
