"""Downloads: made once, made again when their description changes, never half-made."""

import os
from pathlib import Path

import pytest

from deploy.errors import FetchFailed, MissingTool
from deploy.stack import fetch
from deploy.stack.java import java, maven
from deploy.stack.layout import Layout
from tests.unit.deploy.test_stack_files import Heard

JAVA = "#!/bin/sh\necho 'openjdk version \"{version}\"' >&2\n"
WORKING_MAVEN = """#!/bin/sh
echo run >> "$COUNT"
for word in "$@"; do case $word in
  -DoutputDirectory=*) touch "${word#-DoutputDirectory=}/kafka_2.13-0.jar" ;;
esac; done
"""
FAILING_MAVEN = WORKING_MAVEN + "echo '[ERROR] a: b: Unknown host: nowhere -> [Help 1]'; exit 1\n"


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    monkeypatch.setenv("COUNT", str(tmp_path / "count"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    _tool(folder, "java", JAVA.format(version="21.0.2"))
    _tool(folder, "mvn", WORKING_MAVEN)
    return folder


def _tool(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(script)
    (folder / name).chmod(0o755)


@pytest.fixture
def layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Layout:
    """A checkout whose Triton environment is made by touching a file."""

    def build(folder: Path, requirements: Path, log: Path) -> None:
        folder.mkdir()
        (folder / "made").write_bytes(requirements.read_bytes())

    monkeypatch.setattr("deploy.stack.triton_env.build", build)
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "triton.txt").write_text("one")
    return Layout(tmp_path, tmp_path / "state", tmp_path / "state")


def _maven_runs(tmp_path: Path) -> int:
    return len((tmp_path / "count").read_text().splitlines())


def test_fetched_once(layout: Layout, tools: Path, tmp_path: Path) -> None:
    heard = Heard()
    fetch.ensure_fetched(layout, heard)
    assert [line.split()[0] for line in heard] == ["Fetching", "Making"]
    assert list(layout.kafka_lib.glob("*.jar"))
    fetch.ensure_fetched(layout, heard)
    assert len(heard) == 2
    assert _maven_runs(tmp_path) == 1


def test_a_changed_description_is_fetched_anew(layout: Layout, tools: Path, tmp_path: Path) -> None:
    fetch.ensure_fetched(layout, Heard())
    (tmp_path / "requirements" / "triton.txt").write_text("two")
    heard = Heard()
    fetch.ensure_fetched(layout, heard)
    assert [line.split()[0] for line in heard] == ["Making"]
    assert (layout.triton_env / "made").read_text() == "two"


def test_a_failed_fetch_says_why_and_leaves_nothing(layout: Layout, tools: Path) -> None:
    _tool(tools, "mvn", FAILING_MAVEN)
    with pytest.raises(FetchFailed, match=r"^Maven could not .*: Unknown host: nowhere \(all of"):
        fetch.ensure_fetched(layout, Heard())
    assert not layout.kafka_lib.exists()
    _tool(tools, "mvn", WORKING_MAVEN)
    fetch.ensure_fetched(layout, Heard())
    assert list(layout.kafka_lib.glob("*.jar"))


def test_what_an_interrupted_fetch_left_is_not_taken_for_the_whole(
    layout: Layout, tools: Path
) -> None:
    layout.kafka_lib.mkdir(parents=True)
    (layout.kafka_lib / "kafka_half.jar").touch()
    draft = layout.kafka_lib.with_name(".kafka.new")
    draft.mkdir()
    (draft / "kafka_other_half.jar").touch()
    fetch.ensure_fetched(layout, Heard())
    assert [jar.name for jar in layout.kafka_lib.glob("*.jar")] == ["kafka_2.13-0.jar"]
    assert not draft.exists()


@pytest.mark.parametrize("version", ["17", "17.0.15", "21-ea", "25.0.1"])
def test_a_java_that_is_new_enough(tools: Path, version: str) -> None:
    _tool(tools, "java", JAVA.format(version=version))
    assert java() == str(tools / "java")


@pytest.mark.parametrize(("version", "shown"), [("1.8.0_402", 8), ("11.0.2", 11), ("nonsense", 0)])
def test_a_java_that_is_too_old(tools: Path, version: str, shown: int) -> None:
    _tool(tools, "java", JAVA.format(version=version))
    with pytest.raises(MissingTool, match=f"is Java {shown}: install Java 17 or newer"):
        java()


def test_missing_tools_are_one_sentence_each(
    tools: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    with pytest.raises(MissingTool, match="needs Java and there is none on this machine"):
        java()
    with pytest.raises(MissingTool, match="apt install maven"):
        maven()
    monkeypatch.setenv("JAVA_HOME", "/nowhere")
    with pytest.raises(MissingTool, match=r"none at JAVA_HOME \(/nowhere\)"):
        java()
