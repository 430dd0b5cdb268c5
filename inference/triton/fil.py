"""The configuration for Triton's FIL backend, which runs trees on a GPU.

FIL exists in NVIDIA's container only, so this text was written from its documentation
(`fil_backend/docs/model_config.md`) and never run by Headrace's tests. FIL adds up the trees in an
order of its own: its scores may differ from the local fallback's in the last bits of a float32.
"""

from __future__ import annotations

from collections.abc import Sequence

from inference.model import ModelVersion
from inference.triton.config import INPUT, OUTPUT

MAX_ROWS = 65_536

_CONFIG = """\
name: "{name}"
backend: "fil"
max_batch_size: {rows}
default_model_filename: "model.ubj"
input [ {{ name: "{input}" data_type: TYPE_FP32 dims: [ {columns} ] }} ]
output [ {{ name: "{output}" data_type: TYPE_FP32 dims: [ 1 ] }} ]
instance_group [ {{ kind: KIND_AUTO }} ]
version_policy {{ specific {{ versions: [ {versions} ] }} }}
parameters [
  {{ key: "model_type" value: {{ string_value: "xgboost_ubj" }} }},
  {{ key: "output_class" value: {{ string_value: "true" }} }},
  {{ key: "predict_proba" value: {{ string_value: "true" }} }}
]
"""


def fil_config(model: ModelVersion, versions: Sequence[int]) -> str:
    """The `config.pbtxt` of a binary classifier on FIL, serving exactly `versions`.

    All versions must have the columns of `model`: FIL takes their number from this file.
    """
    return _CONFIG.format(
        name=model.name,
        rows=MAX_ROWS,
        input=INPUT,
        columns=model.columns,
        output=OUTPUT,
        versions=", ".join(str(version) for version in sorted(versions)),
    )
