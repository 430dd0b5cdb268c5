"""A gRPC server in this process that answers Triton's calls as a test decides."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

from inference.triton.config import OUTPUT


class TritonAnswers(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc] # generated, untyped
    """Scores every row 0.5 unless told otherwise, and keeps a list of the calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fail: tuple[grpc.StatusCode, str] | None = None
        self.delay_s = 0.0
        self.output = OUTPUT
        self.scores: Callable[[int], bytes] = lambda rows: np.full(rows, 0.5, "<f4").tobytes()
        self.loaded: Callable[[], None] = lambda: None
        self._stopping = threading.Event()
        self._server = grpc.server(ThreadPoolExecutor(max_workers=4))
        service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(self, self._server)
        self.url = f"127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802 - the service's name
        self.calls.append("infer")
        self._stopping.wait(self.delay_s)
        if self.fail is not None:
            context.abort(*self.fail)
        rows = request.inputs[0].shape[0]
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        response.outputs.add(name=self.output, datatype="FP32", shape=[rows])
        response.raw_output_contents.append(self.scores(rows))
        return response

    def RepositoryModelLoad(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("load")
        self.loaded()
        return service_pb2.RepositoryModelLoadResponse()

    def RepositoryModelUnload(self, request: Any, context: Any) -> Any:  # noqa: N802
        self.calls.append("unload")
        return service_pb2.RepositoryModelUnloadResponse()

    def close(self) -> None:
        """Ends the server and whatever it still answers."""
        self._stopping.set()
        self._server.stop(grace=None).wait()
