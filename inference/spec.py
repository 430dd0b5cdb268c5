"""What a pipeline says of its model: how it is trained and when its score means yes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Parameter = str | int | float | bool


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A boosted-tree model of a pipeline.

    Attributes
    ----------
    name:
        Its name in the model repository and on Triton.
    parameters:
        xgboost's own training parameters (`objective`, `max_depth`, ...).
    rounds:
        Boosting rounds, that is trees.
    threshold:
        A score of at least this much is decided as positive.
    """

    name: str
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    rounds: int = 100
    threshold: float = 0.5
