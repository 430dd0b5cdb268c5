"""Where everything that Headrace keeps on this machine lies: one state folder per checkout."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

STATE_VARIABLE = "HEADRACE_STATE_DIR"
FETCHED_VARIABLE = "HEADRACE_FETCHED_DIR"


@dataclass(frozen=True)
class ServiceFiles:
    """The files of one server: its data, its log, and the record of its running process."""

    folder: Path

    @property
    def data(self) -> Path:
        """What the server itself writes; survives `headrace down`."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """Standard output and standard error of the server."""
        return self.folder / "log"

    @property
    def pid(self) -> Path:
        """The run record (JSON): pid, start time of the process, boot, ports."""
        return self.folder / "pid"


@dataclass(frozen=True)
class Layout:
    """Every path of the state folder, derived from three roots.

    `checkout` holds the sources that describe downloads (requirements, the pom), `state` what
    this installation keeps, `fetched` what was downloaded. `fetched` may be shared by several
    state folders, because nothing in it is changed after it was made.
    """

    checkout: Path
    state: Path
    fetched: Path

    @classmethod
    def discover(cls, environ: Mapping[str, str] = os.environ) -> "Layout":
        """The layout of this checkout, or the one that the environment names.

        HEADRACE_STATE_DIR moves the whole state folder, HEADRACE_FETCHED_DIR only the
        downloads (so that a throw-away state folder can share them).
        """
        checkout = _checkout()
        state = Path(environ.get(STATE_VARIABLE) or checkout / ".headrace").absolute()
        fetched = Path(environ.get(FETCHED_VARIABLE) or state).absolute()
        return cls(checkout, state, fetched)

    @property
    def stack(self) -> Path:
        """Folder of the running servers."""
        return self.state / "stack"

    @property
    def addresses(self) -> Path:
        """Where the running stack's addresses stand (JSON)."""
        return self.stack / "stack.json"

    @property
    def ports(self) -> Path:
        """Which ports were chosen once (JSON)."""
        return self.stack / "ports.json"

    @property
    def lock(self) -> Path:
        """Held by the one command that starts or stops servers."""
        return self.stack / "lock"

    @property
    def models(self) -> Path:
        """Triton's model repository."""
        return self.state / "models"

    @property
    def reports(self) -> Path:
        """Where runs leave their reports."""
        return self.state / "reports"

    @property
    def kafka_lib(self) -> Path:
        """The broker's jars."""
        return self.fetched / "lib" / "kafka"

    @property
    def triton_env(self) -> Path:
        """Triton's own Python environment."""
        return self.fetched / "triton-env"

    def service(self, name: str) -> ServiceFiles:
        """The files of one server of the stack."""
        return ServiceFiles(self.stack / name)


def _checkout() -> Path:
    source = Path(__file__).resolve().parents[2]
    return source if (source / "pyproject.toml").exists() else Path.cwd()
