"""Downloads that the stack needs: Kafka's jars and Triton's environment, each made once."""

import hashlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path

from deploy.errors import FetchFailed, MissingTool
from deploy.stack import triton_env
from deploy.stack.files import locked
from deploy.stack.installer import ran_well, reason
from deploy.stack.java import java, maven
from deploy.stack.layout import Layout
from deploy.stack.service import require_room

STAMP = ".fetched"
FETCH_WAIT_S = 900.0
MAVEN_TIMEOUT_S = 600.0
# By its full name, so that Maven need not ask the registry what "dependency" stands for.
COPY_GOAL = "org.apache.maven.plugins:maven-dependency-plugin:copy-dependencies"


def ensure_fetched(layout: Layout, say: Callable[[str], None]) -> None:
    """Makes sure that everything the stack starts is on this machine.

    Does nothing, in a few milliseconds, when that is so; otherwise says what it fetches. What
    is there is known by a hash of its description (the pom, the requirements, this Python), so
    a changed description fetches anew. Interrupted at any moment it leaves the old or the new.

    Raises MissingTool, DiskFull or FetchFailed, each with one sentence.
    """
    kafka, triton = _kafka_stamp(), _triton_stamp(layout)
    if _has(layout.kafka_lib, kafka) and _has(layout.triton_env, triton):
        return
    with locked(layout.fetched / "fetch.lock", wait_s=FETCH_WAIT_S, say=say):
        require_room(layout.fetched)
        if not _has(layout.kafka_lib, kafka):
            java()
            program = maven()
            say("Fetching Kafka's jars with Maven (about 60 MB) ...")
            with _replacing(layout.kafka_lib, kafka) as draft:
                _fetch_jars(program, draft)
        if not _has(layout.triton_env, triton):
            say("Making Triton's own Python environment (about 300 MB) ...")
            with _replacing(layout.triton_env, triton) as draft:
                log = layout.fetched / "triton-env.log"
                triton_env.build(draft, _requirements(layout), log)


def _has(folder: Path, stamp: str) -> bool:
    try:
        return (folder / STAMP).read_text() == stamp
    except OSError:
        return False


def _kafka_stamp() -> str:
    return hashlib.sha256(_pom()).hexdigest()


def _triton_stamp(layout: Layout) -> str:
    description = _requirements(layout).read_bytes()
    description += f"{sys.version_info[:3]} {Path(sys.executable).resolve()}".encode()
    return hashlib.sha256(description).hexdigest()


def _requirements(layout: Layout) -> Path:
    path = layout.checkout / "requirements" / "triton.txt"
    if not path.exists():
        raise MissingTool(
            f"There is no {path}: the local stack needs a checkout of Headrace's sources; run "
            "headrace from there, or connect to servers of your own."
        )
    return path


def _pom() -> bytes:
    return (files("deploy.stack") / "assets" / "pom.xml").read_bytes()


@contextmanager
def _replacing(folder: Path, stamp: str) -> Iterator[Path]:
    """A fresh folder beside the wanted one, which takes its place when the block succeeds."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        yield draft
        (draft / STAMP).write_text(stamp)
        shutil.rmtree(folder, ignore_errors=True)
        draft.replace(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _fetch_jars(program: str, folder: Path) -> None:
    folder.mkdir(parents=True)
    pom = folder / "pom.xml"
    pom.write_bytes(_pom())
    log = folder.parent / "kafka-fetch.log"
    # -U: without it Maven remembers a failed download and does not try again for a day.
    command = [program, "-B", "-U", "-f", str(pom), COPY_GOAL]
    command += [f"-DoutputDirectory={folder}", "-DincludeScope=runtime"]
    env = {**os.environ, "MAVEN_OPTS": os.environ.get("MAVEN_OPTS", "-Xmx256m")}
    fetched = ran_well(command, log, timeout_s=MAVEN_TIMEOUT_S, env=env)
    if not fetched or not any(folder.glob("kafka_*.jar")):
        raise FetchFailed(
            f"Maven could not fetch Kafka's jars: {reason(log)} (all of it in {log}). Check the "
            "network and the mirrors in Maven's settings.xml, then run this again."
        )
