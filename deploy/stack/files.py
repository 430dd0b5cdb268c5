"""Small files of the state folder: written whole or not at all, locked, cut to size."""

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from deploy.errors import StackBusy

LOCK_POLL_S = 0.1


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Replaces the file in one step: a reader or a crash never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any]:
    """The object in the file; empty where there is no file.

    Raises json.JSONDecodeError for anything that is not one JSON object.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    content = json.loads(text)
    if not isinstance(content, dict):
        raise json.JSONDecodeError("not an object", text, 0)
    return content


@contextlib.contextmanager
def locked(
    path: Path,
    *,
    wait_s: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Holds the lock file while the block runs; the lock dies with its process.

    Raises StackBusy when another process still holds it after `wait_s` seconds.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = clock() + wait_s
    with path.open("w") as handle:
        told = False
        while not _try_lock(handle.fileno()):
            if clock() > deadline:
                raise StackBusy(
                    f"Another headrace command has held {path} for {wait_s:.0f} s: "
                    "wait for it or end it, then run this again."
                )
            if not told:
                say("Another headrace command is at work on the stack; waiting for it.")
                told = True
            time.sleep(LOCK_POLL_S)
        yield


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a text file, oldest first; empty where there is none.

    Reads at most 64 KiB, so that a log of any size costs the same.
    """
    try:
        with path.open("rb") as handle:
            size = handle.seek(0, os.SEEK_END)
            handle.seek(max(0, size - 65_536))
            text = handle.read().decode(errors="replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
