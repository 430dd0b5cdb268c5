"""The errors of `inference`.

InferenceError
  ScorerError
    ScorerUnavailable   no answer within the deadline, or no connection (retriable)
    ModelNotFound       the scorer runs, but this model version is not loaded (retriable)
    ScorerRefused       the scorer answered and said no, or gave scores that are not numbers
    ScorerClosed        the scorer was closed before it was asked
  ModelMismatch         columns or feature fingerprint are not those the model was trained on
  RepositoryError
    VersionNotFound     the repository does not hold this model version
    CorruptModel        a file of the version is damaged, or of a format this program cannot read
  TrainingError         the training set cannot make a model
"""

from __future__ import annotations


class InferenceError(Exception):
    """Base of every error that `inference` raises."""

    retriable: bool = False


class ScorerError(InferenceError):
    """Base of what can go wrong while scoring."""


class ScorerUnavailable(ScorerError):
    """The scorer cannot be reached, or gave no answer within its deadline. Try again later."""

    retriable = True


class ModelNotFound(ScorerError):
    """The scorer runs without this version. The operator, or a recovering worker, loads it."""

    retriable = True


class ScorerRefused(ScorerError):
    """The scorer answered with a refusal. The same question will be refused again."""


class ScorerClosed(ScorerError):
    """The scorer was closed. The program asked it during or after shutdown."""


class ModelMismatch(InferenceError):
    """The model was trained on other features. The operator trains a version for these."""


class RepositoryError(InferenceError):
    """Base of what can go wrong with the model repository on disk."""


class VersionNotFound(RepositoryError):
    """The repository does not hold this version. The operator trains or copies one."""


class CorruptModel(RepositoryError):
    """A file of the version is damaged or unknown. The operator restores it or trains anew."""


class TrainingError(InferenceError):
    """No model can be made from this training set. The message says what is missing in it."""
