"""Scoring on Triton over gRPC: one call per micro-batch, started now and awaited later.

ModelInfer is called as if it answered with a stream. On the wire that is the same, and gRPC can
then send at once and read the answer in the thread that asks for it. Its future for plain calls
wakes a thread of its own instead, which cost 250 us of CPU per call (ADR 0004).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np

from inference.errors import ScorerClosed, ScorerError, ScorerRefused
from inference.model import ModelVersion
from inference.scorer import Matrix, Scores, require_matrix, require_scores
from inference.triton import calls
from inference.triton.channel import open_channel, scorer_error
from inference.triton.config import OUTPUT
from inference.triton.probe import TritonProbe

_WARM_UP_ROWS = (1, 256)
_NO_ROWS = np.frombuffer(b"", dtype=np.float32)


class TritonScores:
    """Scores that are on their way."""

    degraded: str | None = None

    def __init__(self, call: Iterator[Any], rows: int, model: ModelVersion, url: str) -> None:
        self._call = call
        self._rows = rows
        self._model = model
        self._url = url
        self._scores: Scores | None = None

    def result(self) -> Scores:
        """Waits for the scores; float32 of shape (n,), read-only.

        Raises ScorerUnavailable, ModelNotFound or ScorerRefused.
        """
        if self._scores is None:
            raw = self._receive()
            if len(raw) != self._rows * _NO_ROWS.itemsize:
                raise ScorerRefused(
                    f"model {self._model.name} version {self._model.version} at {self._url} "
                    f"answered {self._rows} rows with {len(raw)} bytes of scores"
                )
            scores = np.frombuffer(raw, dtype=np.float32)
            self._scores = require_scores(self._model, scores, self._rows)
        return self._scores

    def cancel(self) -> None:
        """Gives the call up."""
        self._call.cancel()  # type: ignore[attr-defined] # gRPC's iterator is also a call

    def _receive(self) -> bytes:
        try:
            response = next(self._call)
            # Reads the call's status; a call dropped before that is cancelled as garbage.
            next(self._call, None)
        except grpc.RpcError as error:
            raise _translated(self._model, self._url, error) from error
        except StopIteration:
            raise ScorerRefused(f"Triton at {self._url} ended the call without scores") from None
        output, *others = response.raw_output_contents or (b"",)
        if others or response.outputs[0].name != OUTPUT:
            raise ScorerRefused(f"Triton at {self._url} answered without the output {OUTPUT!r}")
        return bytes(output)


class NoScores:
    """The scores of no row, for which nobody is asked."""

    degraded: str | None = None

    def result(self) -> Scores:
        """An empty float32 array."""
        return _NO_ROWS

    def cancel(self) -> None:
        """Does nothing."""


class TritonScorer:
    """Scores with one model version on one Triton server.

    Parameters
    ----------
    model:
        The version; it must be loaded, or loadable from Triton's own repository.
    url:
        host:port of Triton's gRPC service.
    deadline_ms:
        How long a batch may take, from `submit` to its scores.
    load_missing:
        Whether `warm` and `probe` have Triton load the model where it is not loaded, as after a
        restart under explicit model control, or where its process has died.
    load_deadline_ms:
        How long that may take.
    """

    def __init__(
        self,
        model: ModelVersion,
        url: str,
        *,
        deadline_ms: int = 500,
        load_missing: bool = True,
        load_deadline_ms: int = 30_000,
    ) -> None:
        self._model = model
        self._url = url
        self._deadline_s = deadline_ms / 1000
        self._load_missing = load_missing
        self._load_deadline_s = load_deadline_ms / 1000
        self._request = calls.infer_request(model)
        self._channel: Any = open_channel(url)
        self._infer = calls.infer_stream(self._channel)

    @property
    def model(self) -> ModelVersion:
        """The version that every score comes from."""
        return self._model

    def submit(self, matrix: Matrix) -> TritonScores | NoScores:
        """Sends the rows and returns. Raises ModelMismatch or ScorerClosed."""
        return self._submit(matrix, self._deadline_s)

    def score(self, matrix: Matrix) -> Scores:
        """The scores of the rows, float32 of shape (n,), within the deadline."""
        return self.submit(matrix).result()

    def warm(self) -> None:
        """Loads the model where it is missing, then scores once as a batch would be.

        Raises ScorerUnavailable, ModelNotFound or ScorerRefused within the load deadline.
        """
        self._require_open()
        self._probe().wait()
        for rows in _WARM_UP_ROWS:
            matrix = np.zeros((rows, self._model.columns), dtype=np.float32)
            self._submit(matrix, self._load_deadline_s).result()

    def probe(self) -> TritonProbe:
        """Finds out, without waiting, whether the model scores; loads it if missing or dead."""
        self._require_open()
        return self._probe()

    def close(self) -> None:
        """Closes the connection; calls under way end as cancelled."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _probe(self) -> TritonProbe:
        load_deadline_s = self._load_deadline_s if self._load_missing else None
        return TritonProbe(
            self._channel,
            self._model,
            self._url,
            deadline_s=self._deadline_s,
            load_deadline_s=load_deadline_s,
        )

    def _submit(self, matrix: Matrix, deadline_s: float) -> TritonScores | NoScores:
        require_matrix(self._model, matrix)
        self._require_open()
        if len(matrix) == 0:
            return NoScores()
        calls.fill(self._request, matrix)
        call = self._infer(self._request, timeout=deadline_s)
        return TritonScores(call, len(matrix), self._model, self._url)

    def _require_open(self) -> None:
        if self._channel is None:
            raise ScorerClosed(f"the scorer of {self._model.name} at {self._url} was closed")


def _translated(model: ModelVersion, url: str, error: Any) -> ScorerError:
    doing = f"scoring with model {model.name} version {model.version}"
    return scorer_error(url, doing, error.code(), error.details() or "")
