"""Bringing a published version into service, and taking out of it what is not to stay beside."""

from __future__ import annotations

from collections.abc import Sequence

from inference.errors import InferenceError
from inference.repository import ModelRepository
from inference.triton.control import ModelControl
from inference.triton.scorer import TritonScorer


def bring_into_service(
    repository: ModelRepository,
    control: ModelControl,
    name: str,
    version: int,
    *,
    beside: Sequence[int] = (),
) -> None:
    """Returns once Triton holds `version` warm, and of the others exactly those in `beside`.

    Versions in `beside` go on scoring all the while. It does not become champion by that. When it
    cannot be loaded, those in `beside` stay what is served, also after a restart of Triton.

    Raises VersionNotFound, CorruptModel, ScorerUnavailable, ModelNotFound or ScorerRefused.
    """
    model = repository.read(name, version).metadata.model
    repository.serve(name, [*beside, version])
    scorer = TritonScorer(model, control.url, load_missing=False)
    try:
        control.load(name)
        control.wait_ready(name, version)
        scorer.warm()
    except InferenceError:
        if beside:
            repository.serve(name, beside)
        raise
    finally:
        scorer.close()
