"""Finding out whether a model scores, and mending what can be mended, without anybody waiting.

Only a score proves that scoring works: Triton 2.51 goes on calling a model ready whose process
has died, answers "Stub process ... is not healthy" after a second, and never starts it again. It
does so after the model was unloaded and loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from inference.errors import ModelNotFound
from inference.model import ModelVersion
from inference.triton import calls
from inference.triton.channel import scorer_error

# Calls before it may each hold Triton for the second that it takes to call a process dead.
ANSWER_DEADLINE_S = 10.0

_DEAD_PROCESS = "is not healthy"


class TritonProbe:
    """Scores a row; where the model is missing or dead, loads it and scores again.

    At the end one row must be scored within `deadline_s`, as a batch must: a server that answers
    too late is not back. Each call is sent when the one before has ended. `load_deadline_s` is
    None where the prober must not load models. Reloading a dead model interrupts its other
    versions on that server for the seconds that it takes.
    """

    def __init__(
        self,
        channel: Any,
        model: ModelVersion,
        url: str,
        *,
        deadline_s: float,
        load_deadline_s: float | None,
    ) -> None:
        self._channel = channel
        self._model = model
        self._url = url
        self._deadline_s = deadline_s
        self._load_deadline_s = load_deadline_s
        self._ready = False
        self._calls = self._call()
        self._under_way: Any = next(self._calls)

    def done(self) -> bool:
        """Whether it is decided; sends the next call when it is time to, never waits."""
        while self._under_way is not None and self._under_way.done():
            self._under_way = next(self._calls, None)
        return self._under_way is None

    def ready(self) -> bool:
        """After `done`: whether the model scored in time."""
        return self._ready

    def wait(self) -> None:
        """Returns when it is decided, at the latest after the calls' deadlines."""
        while not self.done():
            self._under_way.exception()

    def _call(self) -> Iterator[Any]:
        scored = calls.infer_one_row(self._channel, self._model, ANSWER_DEADLINE_S)
        yield scored
        if self._load_deadline_s is not None:
            dead = self._is_dead(scored)
            if dead:
                yield calls.unload(self._channel, self._model, self._load_deadline_s)
            if dead or self._is_missing(scored):
                yield calls.load(self._channel, self._model, self._load_deadline_s)
                scored = calls.infer_one_row(self._channel, self._model, ANSWER_DEADLINE_S)
                yield scored
        if scored.exception() is None:
            scored = calls.infer_one_row(self._channel, self._model, self._deadline_s)
            yield scored
        self._ready = scored.exception() is None

    def _is_dead(self, scored: Any) -> bool:
        error = scored.exception()
        return error is not None and _DEAD_PROCESS in (error.details() or "")

    def _is_missing(self, scored: Any) -> bool:
        error = scored.exception()
        if error is None:
            return False
        meaning = scorer_error(self._url, "probing", error.code(), error.details() or "")
        return isinstance(meaning, ModelNotFound)
