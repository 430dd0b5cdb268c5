"""The calls of Triton's gRPC service that scoring needs, on a channel of ours.

The messages are those of the inference protocol (KServe v2) with Triton's repository extension.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2

from inference.model import ModelVersion
from inference.scorer import Matrix
from inference.triton.config import INPUT

_SERVICE = "/inference.GRPCInferenceService/"


def infer_stream(channel: Any) -> Any:
    """ModelInfer as an iterator that is read by the thread which asks for it (see scorer.py)."""
    return channel.unary_stream(
        f"{_SERVICE}ModelInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )


def infer_one_row(channel: Any, model: ModelVersion, deadline_s: float) -> Any:
    """A future of the scores of one row of zeros."""
    request = infer_request(model)
    fill(request, np.zeros((1, model.columns), dtype=np.float32))
    ask = channel.unary_unary(
        f"{_SERVICE}ModelInfer",
        request_serializer=service_pb2.ModelInferRequest.SerializeToString,
        response_deserializer=service_pb2.ModelInferResponse.FromString,
    )
    return ask.future(request, timeout=deadline_s)


def load(channel: Any, model: ModelVersion, deadline_s: float) -> Any:
    """A future of the model being loaded as its `config.pbtxt` says."""
    ask = channel.unary_unary(
        f"{_SERVICE}RepositoryModelLoad",
        request_serializer=service_pb2.RepositoryModelLoadRequest.SerializeToString,
        response_deserializer=service_pb2.RepositoryModelLoadResponse.FromString,
    )
    request = service_pb2.RepositoryModelLoadRequest(model_name=model.name)
    return ask.future(request, timeout=deadline_s)


def unload(channel: Any, model: ModelVersion, deadline_s: float) -> Any:
    """A future of every version of the model being let go."""
    ask = channel.unary_unary(
        f"{_SERVICE}RepositoryModelUnload",
        request_serializer=service_pb2.RepositoryModelUnloadRequest.SerializeToString,
        response_deserializer=service_pb2.RepositoryModelUnloadResponse.FromString,
    )
    request = service_pb2.RepositoryModelUnloadRequest(model_name=model.name)
    return ask.future(request, timeout=deadline_s)


def infer_request(model: ModelVersion) -> Any:
    """A ModelInfer request of the version, to be filled once per batch."""
    request = service_pb2.ModelInferRequest(model_name=model.name, model_version=str(model.version))
    request.inputs.add(name=INPUT, datatype="FP32", shape=[0, model.columns])
    request.raw_input_contents.append(b"")
    return request


def fill(request: Any, matrix: Matrix) -> None:
    """Puts the rows into a request of `infer_request`."""
    request.inputs[0].shape[0] = len(matrix)
    request.raw_input_contents[0] = matrix.tobytes()
