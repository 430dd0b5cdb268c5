"""The generated configurations are what Triton's own schema calls a model configuration."""

from __future__ import annotations

from dataclasses import replace

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as schema

from inference.triton import config
from inference.triton.fil import MAX_ROWS, fil_config
from tests.adapters.scorer import MODEL


def _parsed(text: str) -> schema.ModelConfig:
    return text_format.Parse(text, schema.ModelConfig())


def test_the_python_backend_serves_exactly_the_versions_asked_for() -> None:
    parsed = _parsed(config.python_config(MODEL, [12, 3], threads=2))
    assert (parsed.name, parsed.backend, parsed.max_batch_size) == ("fraud", "python", 0)
    assert list(parsed.version_policy.specific.versions) == [3, 12]
    assert list(parsed.input[0].dims) == [-1, -1]
    assert list(parsed.output[0].dims) == [-1]
    assert parsed.parameters["nthread"].string_value == "2"
    assert parsed.instance_group[0].kind == schema.ModelInstanceGroup.KIND_CPU


def test_fil_gives_probabilities_of_the_same_tensors() -> None:
    parsed = _parsed(fil_config(replace(MODEL, feature_names=("a", "b")), [7]))
    assert (parsed.backend, parsed.max_batch_size) == ("fil", MAX_ROWS)
    assert parsed.default_model_filename == "model.ubj"
    assert list(parsed.input[0].dims) == [2]
    assert (parsed.input[0].name, parsed.output[0].name) == (config.INPUT, config.OUTPUT)
    values = {name: value.string_value for name, value in parsed.parameters.items()}
    assert values == {"model_type": "xgboost_ubj", "output_class": "true", "predict_proba": "true"}


def test_the_backend_names_the_same_tensors_and_reads_the_same_files() -> None:
    source = config.backend_source().decode()
    for text in (config.INPUT, config.OUTPUT, "metadata.json", "model.ubj", "model_sha256"):
        assert f'"{text}"' in source
