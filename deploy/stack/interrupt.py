"""Ctrl-C, SIGTERM and SIGHUP as one exception that comes once, so that cleaning up can finish."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def interrupted_once(say: Callable[[str], None]) -> Iterator[None]:
    """Turns the first such signal within the block into KeyboardInterrupt and answers others.

    What cleans up after the first one is bounded by its own deadlines, so further signals get
    a line instead of leaving half of it undone. For the main thread only.
    """
    seen = False

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal seen
        del number, frame
        if seen:
            say("Still stopping what was started; a moment ...")
            return
        seen = True
        say("Interrupted: stopping what was started ...")
        raise KeyboardInterrupt

    before = {number: signal.signal(number, handle) for number in SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
