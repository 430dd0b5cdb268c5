"""Every direct dependency is justified, and nothing is justified that is not one."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECTIONS = {
    "Runtime": "pyproject.toml",
    "Contributors": "requirements/dev.in",
    "Installer": "requirements/bootstrap.in",
    "Triton's own environment": "requirements/triton.in",
}


def _name(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return found[0]


def _declared(source: str) -> set[str]:
    text = (ROOT / source).read_text()
    if source.endswith(".toml"):
        return {_name(line) for line in tomllib.loads(text)["project"]["dependencies"]}
    lines = (line.strip() for line in text.splitlines())
    return {_name(line) for line in lines if line and line[0] not in "#-"}


def _justified(section: str) -> set[str]:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    part = text.partition(f"## {section} ")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\S+) \| (.+) \|$", part, flags=re.MULTILINE)
    return {name for name, why in rows if why != "why"}


@pytest.mark.parametrize(("section", "source"), SECTIONS.items())
def test_each_dependency_has_its_line(section: str, source: str) -> None:
    assert _justified(section) == _declared(source)


@pytest.mark.parametrize("lock", ["bootstrap", "runtime", "dev", "triton"])
def test_locks_name_hashes_and_no_hosts(lock: str) -> None:
    text = (ROOT / "requirements" / f"{lock}.txt").read_text()
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z])", text)
    unhashed = [block.split()[0] for block in blocks if "==" in block and "sha256:" not in block]
    assert unhashed == []
