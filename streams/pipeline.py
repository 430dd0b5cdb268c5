"""A pipeline: one object that says what comes in, what is computed, and what is watched.

    from streams.pipeline import EventSchema, LabelSchema, Pipeline

`headrace worker fraud` runs a shipped one; `headrace worker my_module:PIPELINE` any other.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from featurizers.definitions import EVENTS, LABELS, FeatureSet, FieldFeature
from inference.spec import ModelSpec
from online_learning.spec import MonitorSpec

SHIPPED = {"fraud": "streams.pipelines.fraud:PIPELINE"}


class PipelineError(Exception):
    """A pipeline cannot be found or its parts do not fit. Mend its module; every fault is named."""

    retriable = False

    def __init__(self, name: str, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join([f"pipeline {name!r}:", *(f"  - {f}" for f in faults)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSchema:
    """How the events of a topic look.

    Attributes
    ----------
    record:
        A msgspec Struct: its types and `Meta` constraints are the validation.
    id, key, time:
        Fields of `record`: the event's identity (str), the topic's key (str) and the event time
        (int, milliseconds since the epoch, UTC).
    columns:
        For data files whose columns have other names: field -> column.
    versions:
        Values of the optional record field `schema_version` that this pipeline understands.
    """

    record: type[msgspec.Struct]
    id: str
    key: str
    time: str
    columns: Mapping[str, str] = field(default_factory=dict)
    versions: tuple[int, ...] = (1,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSchema(EventSchema):
    """How labels look: `id` and `time` are those of the event a label speaks of.

    Attributes
    ----------
    value:
        Field of `record` that holds the truth (bool or number; true or non-zero is positive).
    known_at:
        Field of `record` with the time at which the label became known (int, milliseconds).
    delay_ms:
        How long after its event a label becomes known when it is derived from a data file.
    """

    value: str
    known_at: str
    delay_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """All there is to know about one stream of predictions. Immutable, and touches no network.

    Raises `PipelineError`, naming every fault at once, when its parts do not fit together.
    """

    name: str
    events: EventSchema
    labels: LabelSchema
    features: FeatureSet
    model: ModelSpec
    monitors: MonitorSpec = field(default_factory=MonitorSpec)
    partitions: int = 4

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise PipelineError(self.name, faults)

    def topic(self, kind: str) -> str:
        """The name of one of the pipeline's topics: `fraud.events`, `fraud.predictions`, ..."""
        return f"{self.name}.{kind}"

    @property
    def topics(self) -> Mapping[str, str]:
        """Kind -> name of every topic of the pipeline."""
        return {kind: self.topic(kind) for kind in TOPIC_KINDS}

    def needed_fields(self, source: str) -> tuple[str, ...]:
        """Numeric record fields of a source that features need, sorted."""
        fields = {
            f.value.field
            for f in self.features.window_features
            if f.source == source and f.value is not None
        }
        if source == EVENTS:
            fields |= {f.value.field for f in self.features.features if isinstance(f, FieldFeature)}
        return tuple(sorted(fields))


TOPIC_KINDS = ("events", "labels", "predictions", "deadletters", "outcomes", "alerts")


def load_pipeline(reference: str) -> Pipeline:
    """The pipeline that `reference` names: a shipped one's name or `module:ATTRIBUTE`.

    Raises `PipelineError` that says what was not found.
    """
    target = SHIPPED.get(reference, reference)
    module_name, colon, attribute = target.partition(":")
    if not colon:
        raise PipelineError(
            reference,
            [
                f"no shipped pipeline has this name (there are: {', '.join(SHIPPED)}); "
                "name your own as module:ATTRIBUTE"
            ],
        )
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise PipelineError(
            reference,
            [
                f"module {error.name!r} cannot be imported: is it on PYTHONPATH "
                "or in the current folder?"
            ],
        ) from error
    found: Any = getattr(module, attribute, None)
    if not isinstance(found, Pipeline):
        raise PipelineError(reference, [f"{module_name} has no Pipeline named {attribute!r}"])
    return found


def _faults(pipeline: Pipeline) -> Iterable[str]:
    for source, schema in ((EVENTS, pipeline.events), (LABELS, pipeline.labels)):
        known = set(schema.record.__struct_fields__)
        wanted = {schema.id: "id", schema.key: "key", schema.time: "time"}
        wanted |= dict.fromkeys(pipeline.needed_fields(source), "a feature")
        wanted |= {
            f.entity.key: f"entity {f.entity.name}"
            for f in pipeline.features.window_features
            if source in (EVENTS, f.source)
        }
        for name, purpose in wanted.items():
            if name not in known:
                yield f"{source}: {schema.record.__name__} has no field {name!r} ({purpose})"
        for name in schema.columns:
            if name not in known:
                yield f"{source}: columns names {name!r}, no field of {schema.record.__name__}"
    for name in (pipeline.labels.value, pipeline.labels.known_at):
        if name not in pipeline.labels.record.__struct_fields__:
            yield f"labels: {pipeline.labels.record.__name__} has no field {name!r}"
    if pipeline.partitions < 1:
        yield "partitions must be at least 1"
