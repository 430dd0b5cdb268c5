"""The events of a load test: simulated payments that are made at the moment they are due."""

from __future__ import annotations

import msgspec

from loadtests.errors import PlanRefused
from streams.history import cells
from streams.pipeline import Pipeline
from streams.simulator import SimulatorConfig, simulate

DECK_DAYS = 10
TERMINALS_A_CUSTOMER = 2


class Payments:
    """Payments by the simulator's customers at its terminals; id and time are the run's own.

    A run goes through the simulated payments again and again. The customer, terminal and amount of
    event number n depend on n and `seed` alone.

    Raises `PlanRefused` when the pipeline's events are no such payments.
    """

    def __init__(self, pipeline: Pipeline, *, prefix: str, customers: int, seed: int) -> None:
        schema = pipeline.events
        config = SimulatorConfig(
            days=DECK_DAYS,
            customers=customers,
            terminals=customers * TERMINALS_A_CUSTOMER,
            seed=seed,
        )
        events = simulate(config).events
        _require_same_fields(pipeline, set(events.column_names))
        if not len(events):
            raise PlanRefused(f"{customers} simulated customers pay nothing: raise --customers")
        names = [n for n in events.column_names if n not in (schema.id, schema.time)]
        self._rows = list(zip(*(cells(events.column(name)) for name in names), strict=True))
        self._names = names
        self._schema = schema
        self._prefix = prefix
        self._encode = msgspec.json.Encoder().encode

    def message(self, number: int, time_ms: int) -> tuple[bytes, bytes]:
        """Key and value of event `number`, which happens at `time_ms` since the epoch."""
        fields = dict(zip(self._names, self._rows[number % len(self._rows)], strict=True))
        fields[self._schema.id] = f"{self._prefix}{number}"
        fields[self._schema.time] = time_ms
        key: str = fields[self._schema.key]
        return key.encode(), self._encode(self._schema.record(**fields))


def _require_same_fields(pipeline: Pipeline, simulated: set[str]) -> None:
    info = msgspec.structs.fields(pipeline.events.record)
    known = {field.name for field in info}
    needed = {field.name for field in info if field.required}
    if needed <= simulated <= known:
        return
    raise PlanRefused(
        f"load tests send simulated payments ({', '.join(sorted(simulated))}), but the events of "
        f"{pipeline.name} are {pipeline.events.record.__name__}s with {', '.join(sorted(known))}: "
        "measure a pipeline of payments, or send recorded events with `headrace replay`"
    )
