"""The model.py of every published version: runs inside Triton's Python backend.

It is copied into the version's folder and never imported by Headrace. Triton's own environment
has numpy and xgboost, and nothing of Headrace. `metadata.json` and `model.ubj` stand beside it.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
import xgboost

INPUT = "input__0"
OUTPUT = "output__0"
WARM_UP_ROWS = (1, 256)


class TritonPythonModel:
    """One model version. Triton calls `initialize` when it loads, then `execute` per request."""

    def initialize(self, args: dict[str, Any]) -> None:
        """Loads and warms the model; raising makes Triton refuse the version."""
        folder = Path(args["model_repository"]) / args["model_version"]
        metadata = json.loads((folder / "metadata.json").read_bytes())
        data = (folder / "model.ubj").read_bytes()
        checksum = hashlib.sha256(data).hexdigest()
        if checksum != metadata["model_sha256"]:
            message = f"model.ubj has sha256 {checksum}, not {metadata['model_sha256']}"
            raise pb_utils.TritonModelException(message)
        parameters = json.loads(args["model_config"])["parameters"]
        threads = int(parameters["nthread"]["string_value"])
        self._columns = len(metadata["feature_names"])
        self._booster = xgboost.Booster(params={"nthread": threads})
        self._booster.load_model(bytearray(data))
        for rows in WARM_UP_ROWS:
            self._booster.inplace_predict(np.zeros((rows, self._columns), dtype=np.float32))

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers every request by itself, so that one bad one costs its neighbours nothing."""
        return [self._answer(request) for request in requests]

    def _answer(self, request: Any) -> Any:
        matrix = pb_utils.get_input_tensor_by_name(request, INPUT).as_numpy()
        if matrix.shape[1] != self._columns:
            message = f"rows have {matrix.shape[1]} columns, this version takes {self._columns}"
            error = pb_utils.TritonError(message, pb_utils.TritonError.INVALID_ARG)
            return pb_utils.InferenceResponse([], error)
        scores = self._booster.inplace_predict(matrix) if len(matrix) else matrix[:, 0]
        return pb_utils.InferenceResponse([pb_utils.Tensor(OUTPUT, scores)])
