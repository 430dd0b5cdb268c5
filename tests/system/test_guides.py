"""The guides do what they say: their files are written and their commands are run."""

from __future__ import annotations

import importlib
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from streams.pipeline import Pipeline
from tests.system.headrace import Headrace, code_blocks

pytestmark = pytest.mark.system

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "your-own-pipeline.md"


def test_your_own_pipeline(headrace: Headrace, monkeypatch: pytest.MonkeyPatch) -> None:
    text = GUIDE.read_text(encoding="utf-8")
    for attributes, code in code_blocks(text, "python"):
        name = attributes.removeprefix("file=")
        (headrace.folder / name).write_text(code)
    commands = [
        shlex.split(line)
        for attributes, code in code_blocks(text, "sh")
        for line in code.strip().splitlines()
    ]
    background = {"worker": "worker", "monitor": "monitor"}
    monkeypatch.syspath_prepend(str(headrace.folder))
    for program, *arguments in commands:
        if program == "python":
            _run_script(headrace, *arguments)
        elif arguments[0] in background:
            headrace.start_ready(arguments[0], arguments[1])
        elif arguments[0] == "watch":
            assert "machines" in headrace.do(*arguments, "--once")
        elif arguments[0] not in ("up", "down"):
            headrace.do(*arguments)

    pipeline: Pipeline = importlib.import_module("machines").PIPELINE
    headrace.wait_through(pipeline, "worker", ["events", "labels"])
    headrace.wait_through(pipeline, "monitor", ["predictions", "labels"])
    predictions = headrace.predictions(pipeline)
    assert len({p.id for p in predictions}) == len(predictions) == 12_000
    assert len(headrace.outcomes(pipeline)) == 12_000
    assert headrace.dead_letters(pipeline) == []


def _run_script(headrace: Headrace, script: str) -> None:
    subprocess.run([sys.executable, script], cwd=headrace.folder, check=True, timeout=60)
