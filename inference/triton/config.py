"""The text files that make a folder of the model repository servable by Triton."""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence

from inference.model import ModelVersion

INPUT = "input__0"
OUTPUT = "output__0"

_CONFIG = """\
name: "{name}"
backend: "python"
max_batch_size: 0
input [ {{ name: "{input}" data_type: TYPE_FP32 dims: [ -1, -1 ] }} ]
output [ {{ name: "{output}" data_type: TYPE_FP32 dims: [ -1 ] }} ]
instance_group [ {{ kind: KIND_CPU count: 1 }} ]
version_policy {{ specific {{ versions: [ {versions} ] }} }}
parameters [ {{ key: "nthread" value: {{ string_value: "{threads}" }} }} ]
"""


def python_config(model: ModelVersion, versions: Sequence[int], *, threads: int = 1) -> str:
    """The `config.pbtxt` of a model on the Python backend, serving exactly `versions`.

    The number of columns is left open, since each version checks its own: a new feature set is a
    new version of the same model. There is no batching of Triton's: a request is a micro-batch.
    """
    return _CONFIG.format(
        name=model.name,
        input=INPUT,
        output=OUTPUT,
        versions=", ".join(str(version) for version in sorted(versions)),
        threads=threads,
    )


def backend_source() -> bytes:
    """The `model.py` of a version on the Python backend."""
    return importlib.resources.files("inference.triton").joinpath("backend.py").read_bytes()
