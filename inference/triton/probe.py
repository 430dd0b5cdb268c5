"""Finding out whether a model can be scored, and loading it, without anybody waiting."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from inference.model import ModelVersion

_SERVICE = "/inference.GRPCInferenceService/"


class TritonProbe:
    """Ready? If not: load, and ready now? Each question is sent when the last one is answered.

    `load_deadline_s` is None where the prober must not load models.
    """

    def __init__(
        self,
        channel: Any,
        model: ModelVersion,
        *,
        answer_deadline_s: float,
        load_deadline_s: float | None,
    ) -> None:
        self._channel = channel
        self._model = model
        self._answer_deadline_s = answer_deadline_s
        self._load_deadline_s = load_deadline_s
        self._ready = False
        self._questions = self._ask()
        self._open: Any = next(self._questions)

    def done(self) -> bool:
        """Whether the answer is there; sends the next question when it is time to, never waits."""
        while self._open is not None and self._open.done():
            self._open = next(self._questions, None)
        return self._open is None

    def ready(self) -> bool:
        """After `done`: whether the model can be scored."""
        return self._ready

    def wait(self) -> None:
        """Returns when the answer is there, at the latest after the questions' deadlines."""
        while not self.done():
            self._open.exception()

    def _ask(self) -> Iterator[Any]:
        question = self._ask_ready()
        yield question
        self._ready = _says_ready(question)
        if self._ready or self._load_deadline_s is None or not _answered(question):
            return
        yield self._ask_load(self._load_deadline_s)
        question = self._ask_ready()
        yield question
        self._ready = _says_ready(question)

    def _ask_ready(self) -> Any:
        ask = self._channel.unary_unary(
            f"{_SERVICE}ModelReady",
            request_serializer=service_pb2.ModelReadyRequest.SerializeToString,
            response_deserializer=service_pb2.ModelReadyResponse.FromString,
        )
        request = service_pb2.ModelReadyRequest(
            name=self._model.name, version=str(self._model.version)
        )
        return ask.future(request, timeout=self._answer_deadline_s)

    def _ask_load(self, deadline_s: float) -> Any:
        ask = self._channel.unary_unary(
            f"{_SERVICE}RepositoryModelLoad",
            request_serializer=service_pb2.RepositoryModelLoadRequest.SerializeToString,
            response_deserializer=service_pb2.RepositoryModelLoadResponse.FromString,
        )
        request = service_pb2.RepositoryModelLoadRequest(model_name=self._model.name)
        return ask.future(request, timeout=deadline_s)


def _answered(question: Any) -> bool:
    # "unknown model" is an answer too, of some Triton releases; silence and refusal are not.
    error = question.exception()
    return error is None or error.code() is grpc.StatusCode.NOT_FOUND


def _says_ready(question: Any) -> bool:
    return question.exception() is None and bool(question.result().ready)
