"""Which Headrace processes run on this machine, and where their metrics are.

Each registers itself in a small file of the state folder, `run/<role>-<pid>.json`, while it runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.stack.files import read_json, write_json
from deploy.stack.identity import Identity
from deploy.stack.layout import Layout


@dataclass(frozen=True, slots=True)
class RunningProcess:
    """A process of Headrace's that is alive.

    Attributes
    ----------
    role:
        `worker`, `monitor`, ...
    metrics_url:
        Full address of its /metrics.
    started_at_ms:
        Wall clock, milliseconds since the epoch.
    """

    pid: int
    role: str
    pipeline: str
    metrics_url: str
    started_at_ms: int


@contextlib.contextmanager
def register(
    layout: Layout,
    role: str,
    pipeline: str,
    metrics_url: str,
    *,
    identity: Identity | None = None,
    clock: Callable[[], float] = time.time,
) -> Iterator[RunningProcess]:
    """Keep this process in the list while the block runs.

    `identity` is that of the process to list, by default the calling one. A process that is
    killed leaves its file behind; `running` sees that it is dead and removes it.
    """
    who = identity or _self()
    process = RunningProcess(who.pid, role, pipeline, metrics_url, round(clock() * 1000))
    path = _folder(layout) / f"{role}-{who.pid}.json"
    write_json(path, {**asdict(process), "identity": asdict(who)})
    try:
        yield process
    finally:
        path.unlink(missing_ok=True)


def running(layout: Layout, pipeline: str | None = None) -> list[RunningProcess]:
    """Every living registered process (of one pipeline), oldest first.

    A pid that the kernel has given to another process does not count as living.
    """
    found = []
    for path in sorted(_folder(layout).glob("*.json")):
        process = _living(path)
        if process is not None and pipeline in (None, process.pipeline):
            found.append(process)
    return sorted(found, key=lambda process: process.started_at_ms)


def _living(path: Path) -> RunningProcess | None:
    try:
        content = read_json(path)
        identity = Identity(**content.pop("identity"))
        process = RunningProcess(**content)
    except (json.JSONDecodeError, KeyError, TypeError):
        path.unlink(missing_ok=True)
        return None
    if not identity.alive():
        path.unlink(missing_ok=True)
        return None
    return process


def _self() -> Identity:
    identity = Identity.of(os.getpid())
    if identity is None:
        raise RuntimeError("this process is not in /proc")
    return identity


def _folder(layout: Layout) -> Path:
    return layout.state / "run"
