"""Triton's own Python environment: where its parts lie, and how it is put together.

The pytriton wheel carries tritonserver, its libraries, and one model process ("stub") per
Python version. The server wants the stub beside its backend, the libpython that the stub was
linked against on the library path, and the environment's `python` first on PATH (the stub
takes its packages from there; PYTHONPATH is ignored).
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.errors import FetchFailed, MissingTool
from deploy.stack.installer import ran_well, reason

PROBE = (
    "import json, sys, sysconfig as s; print(json.dumps({"
    "'version': '%d.%d' % sys.version_info[:2], 'packages': s.get_path('purelib'), "
    "'library': s.get_config_var('INSTSONAME') or '', "
    "'folders': [s.get_config_var('LIBDIR') or '', sys.base_prefix + '/lib'], "
    "'multiarch': s.get_config_var('MULTIARCH') or ''}))"
)
PROBE_TIMEOUT_S = 30
INSTALL_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class TritonEnvironment:
    """The paths inside one finished environment."""

    folder: Path

    @property
    def python(self) -> Path:
        """The interpreter that runs the models."""
        return self.folder / "bin" / "python"

    @property
    def backends(self) -> Path:
        """The backend directory with the stub for this environment's Python."""
        return self.folder / "backends"

    @property
    def server(self) -> Path:
        """The tritonserver program."""
        return self._packages / "pytriton" / "tritonserver" / "bin" / "tritonserver"

    @property
    def _packages(self) -> Path:
        return next(self.folder.glob("lib/python3*/site-packages"), self.folder / "lib")

    def variables(self) -> dict[str, str]:
        """What the server needs in its environment.

        Raises MissingTool when this Python was built without its shared library.
        """
        libraries = [str(self._packages / "nvidia_pytriton.libs"), str(self._python_library())]
        path = [str(self.folder / "bin"), os.environ.get("PATH", os.defpath)]
        return {
            "LD_LIBRARY_PATH": os.pathsep.join(libraries),
            "PATH": os.pathsep.join(path),
        }

    def _python_library(self) -> Path:
        facts = _probe(self.python)
        folders = [Path(folder) for folder in facts["folders"]]
        folders += [folder / str(facts["multiarch"]) for folder in folders]
        for folder in folders:
            if (folder / str(facts["library"])).exists():
                return folder
        raise MissingTool(
            f"Python {facts['version']} at {self.python.resolve()} has no shared library "
            f"({facts['library'] or 'libpython'}), which Triton's model processes load: use a "
            "Python built with --enable-shared (Debian: apt install libpython3.11), then "
            "`make clean` and run this again."
        )


def _probe(python: Path) -> dict[str, list[str] | str]:
    answer = subprocess.run(
        [str(python), "-c", PROBE],
        capture_output=True,
        text=True,
        timeout=PROBE_TIMEOUT_S,
        check=True,
    )
    facts: dict[str, list[str] | str] = json.loads(answer.stdout)
    return facts


def build(folder: Path, requirements: Path, log: Path) -> None:
    """Makes the environment in a new folder, every package checked against its hash.

    Raises FetchFailed when a download fails and MissingTool when the wheel has no stub for
    this Python. The caller owns the folder, also after a failure.
    """
    for step in _install_steps(folder, requirements):
        if not ran_well(step, log, timeout_s=INSTALL_TIMEOUT_S):
            raise FetchFailed(
                f"Triton's environment could not be installed: {reason(log)} (all of it in "
                f"{log}). Check the network and the package index, then run this again."
            )
    _add_backends(TritonEnvironment(folder))


def _install_steps(folder: Path, requirements: Path) -> list[list[str]]:
    python = str(folder / "bin" / "python")
    uv = Path(sys.executable).with_name("uv")
    checked = ["--require-hashes", "-r", str(requirements)]
    if uv.exists():
        return [
            [str(uv), "venv", "-q", "--relocatable", "--python", sys.executable, str(folder)],
            [str(uv), "pip", "install", "-q", "--python", python, *checked],
        ]
    return [
        [sys.executable, "-m", "venv", str(folder)],
        [python, "-m", "pip", "install", "-q", *checked],
    ]


def _add_backends(environment: TritonEnvironment) -> None:
    wheel = environment.server.parents[1]
    version = _probe(environment.python)["version"]
    stub = wheel / "python_backend_stubs" / str(version) / "triton_python_backend_stub"
    if not stub.exists():
        raise MissingTool(
            f"Triton's wheel has no model process for Python {version}: make Headrace's "
            "environment with Python 3.11."
        )
    target = environment.backends / "python"
    shutil.copytree(wheel / "backends" / "python", target)
    shutil.copy2(stub, target)
