"""The degradation ladder of scoring: the remote scorer, else the same version in process."""

from __future__ import annotations

import time
from collections.abc import Callable

from inference.breaker import Breaker, BreakerOpen, BreakerState
from inference.errors import ModelMismatch, ScorerError
from inference.model import ModelVersion
from inference.scorer import (
    DEGRADED_LOCAL_MODEL,
    Matrix,
    PendingScores,
    Probe,
    RemoteScorer,
    Scorer,
    Scores,
)


class FallbackScores:
    """Scores from the remote scorer if they come in time, else from the local one."""

    def __init__(
        self, remote: PendingScores | None, fall_back: Callable[[], Scores], breaker: Breaker
    ) -> None:
        self._remote = remote
        self._fall_back = fall_back
        self._breaker = breaker
        self._scores: Scores | None = None
        self.degraded: str | None = None

    def result(self) -> Scores:
        """Waits at most for the remote scorer's deadline; float32 of shape (n,), read-only.

        Raises ScorerRefused when the local scorer refuses too.
        """
        if self._scores is None:
            self._scores = self._remote_scores()
        if self._scores is None:
            self._scores = self._fall_back()
            self.degraded = DEGRADED_LOCAL_MODEL
        return self._scores

    def cancel(self) -> None:
        """Gives the remote call up."""
        if self._remote is not None:
            self._remote.cancel()

    def _remote_scores(self) -> Scores | None:
        if self._remote is None:
            return None
        try:
            return self._breaker.call(self._remote.result)
        except BreakerOpen:
            # Sent before the breaker opened: waiting for it would cost another deadline.
            self._remote.cancel()
            return None
        except ScorerError:
            # Counted and logged by the breaker, and told to the caller by `degraded`.
            return None


class FallbackScorer:
    """Always scores, and says when it was not the remote scorer that did.

    A batch waits for one deadline at most. After some failures in a row the breaker opens, and
    batches go to the local model at once. Meanwhile the remote scorer is asked, without waiting,
    whether it is back; only then may a batch try it again.

    Raises ModelMismatch when the two are not of one version.

    Parameters
    ----------
    remote, local:
        Scorers of the same model version.
    breaker:
        For this pair alone.
    probe_every_ms:
        How often the remote scorer is asked while the breaker is open.
    monotonic:
        The clock, seconds.
    """

    def __init__(
        self,
        remote: RemoteScorer,
        local: Scorer,
        breaker: Breaker,
        *,
        probe_every_ms: int = 500,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        if remote.model != local.model:
            raise ModelMismatch(
                f"the fallback of {remote.model} is {local.model}: take both from one version"
            )
        self._remote = remote
        self._local = local
        self._breaker = breaker
        self._probe_every_s = probe_every_ms / 1000
        self._monotonic = monotonic
        self._probe: Probe | None = None
        self._probed_at_s = float("-inf")

    @property
    def model(self) -> ModelVersion:
        """The version that every score comes from."""
        return self._remote.model

    @property
    def state(self) -> BreakerState:
        """The breaker's state, for metrics and health."""
        return self._breaker.state

    def submit(self, matrix: Matrix) -> FallbackScores:
        """Sends the rows to whichever can be hoped to answer. Raises as `Scorer.submit`."""
        if self._remote_may_answer():
            remote = self._remote.submit(matrix)
            copy = matrix.copy()
            return FallbackScores(remote, lambda: self._local.score(copy), self._breaker)
        local = self._local.submit(matrix)
        return FallbackScores(None, local.result, self._breaker)

    def score(self, matrix: Matrix) -> Scores:
        """`submit(matrix).result()`."""
        return self.submit(matrix).result()

    def warm(self) -> None:
        """Warms both. Raises what the remote scorer raises: at a start it should be there."""
        self._local.warm()
        self._remote.warm()

    def close(self) -> None:
        """Closes both."""
        self._remote.close()
        self._local.close()

    def _remote_may_answer(self) -> bool:
        if self._breaker.state is not BreakerState.OPEN:
            self._probe = None
            return True
        if self._probe is None:
            self._start_probe()
        if self._probe is None or not self._probe.done():
            return False
        if self._probe.ready() and not self._breaker.allows():
            return False
        # The answer is used up: by the one batch that may now try, or as a no.
        back, self._probe = self._probe.ready(), None
        return back

    def _start_probe(self) -> None:
        now_s = self._monotonic()
        if now_s - self._probed_at_s >= self._probe_every_s:
            self._probed_at_s = now_s
            self._probe = self._remote.probe()
