"""Which model versions Triton holds: load, wait, warm, unload.

What `load` makes Triton hold is written by `ModelRepository.serve`. Versions that it holds already
are not loaded again; they go on scoring while others come and go (`rollout.py`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import grpc
from tritonclient.grpc import InferenceServerClient, InferenceServerException

from inference.errors import ModelNotFound, ScorerError
from inference.triton.channel import CHANNEL_OPTIONS, scorer_error

POLL_S = 0.02
READY = "READY"

_STATUS = {str(code): code for code in grpc.StatusCode}


class ModelControl:
    """Tells one Triton server under explicit model control what to hold.

    Parameters
    ----------
    url:
        host:port of Triton's gRPC service.
    deadline_ms:
        How long loading, or waiting until ready, may take.
    monotonic, sleep:
        The clock that deadlines are read from, and how to wait a moment.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_ms: int = 60_000,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url
        self._deadline_s = deadline_ms / 1000
        self._monotonic = monotonic
        self._sleep = sleep
        self._client: Any = InferenceServerClient(url, channel_args=list(CHANNEL_OPTIONS))

    def load(self, name: str) -> None:
        """Makes Triton hold exactly the versions that the model's `config.pbtxt` says.

        Versions it already holds go on scoring. Raises ScorerUnavailable, or ScorerRefused with
        Triton's reason when the model cannot be loaded.
        """
        self._call(f"loading model {name}", self._client.load_model, name)

    def unload(self, name: str) -> None:
        """Makes Triton let go of every version of the model."""
        self._call(f"unloading model {name}", self._client.unload_model, name)

    def ready_versions(self, name: str) -> tuple[int, ...]:
        """The versions that can be scored now, oldest first."""
        index = self._call("reading the index", self._client.get_model_repository_index)
        found = (m for m in index.models if m.name == name and m.state == READY and m.version)
        return tuple(sorted(int(entry.version) for entry in found))

    def wait_ready(self, name: str, version: int) -> None:
        """Returns when the version can be scored. Raises ModelNotFound after the deadline."""
        end = self._monotonic() + self._deadline_s
        while version not in self.ready_versions(name):
            if self._monotonic() >= end:
                raise ModelNotFound(
                    f"Triton at {self.url} does not have model {name} version {version} ready "
                    f"after {self._deadline_s:g} s: see Triton's log"
                )
            self._sleep(POLL_S)

    def close(self) -> None:
        """Closes the connection."""
        self._client.close()

    def _call(self, doing: str, method: Callable[..., Any], *arguments: str) -> Any:
        try:
            return method(*arguments, client_timeout=self._deadline_s)
        except InferenceServerException as error:
            raise self._translated(doing, error) from error

    def _translated(self, doing: str, error: Any) -> ScorerError:
        code = _STATUS.get(str(error.status()), grpc.StatusCode.UNKNOWN)
        return scorer_error(self.url, doing, code, error.message() or "")
