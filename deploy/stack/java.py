"""Finding the Java and the Maven that the broker needs."""

import os
import re
import shutil
import subprocess
from pathlib import Path

from deploy.errors import MissingTool

MIN_JAVA = 17
VERSION_TIMEOUT_S = 20
ADVICE = (
    f"install Java {MIN_JAVA} or newer (Debian and Ubuntu: apt install "
    f"openjdk-{MIN_JAVA}-jre-headless), or point JAVA_HOME at one"
)


def java() -> str:
    """The path of a Java that can run the broker: JAVA_HOME's, else the one on PATH.

    Raises MissingTool with one sentence when there is none or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    program = str(Path(home) / "bin" / "java") if home else shutil.which("java")
    if program is None or not Path(program).exists():
        where = f"at JAVA_HOME ({home})" if home else "on this machine"
        raise MissingTool(f"Kafka needs Java and there is none {where}: {ADVICE}.")
    version = _major_version(program)
    if version < MIN_JAVA:
        raise MissingTool(f"Kafka needs Java {MIN_JAVA} and {program} is Java {version}: {ADVICE}.")
    return program


def _major_version(program: str) -> int:
    """Of `java -version`: 17 for "17.0.15", 8 for "1.8.0_402", 0 when it cannot be told."""
    answer = subprocess.run(
        [program, "-version"],
        capture_output=True,
        text=True,
        timeout=VERSION_TIMEOUT_S,
        check=False,
    )
    found = re.search(r'version "(?:1\.)?(\d+)', answer.stderr + answer.stdout)
    return int(found[1]) if found else 0


def maven() -> str:
    """The path of Maven. Raises MissingTool with one sentence when there is none."""
    program = shutil.which("mvn")
    if program is None:
        raise MissingTool(
            "Maven, which fetches Kafka's jars, is not on this machine: install it (Debian and "
            "Ubuntu: apt install maven) and run this again."
        )
    return program
