"""docs/operating/bounds.md gives the limits that the code has."""

from __future__ import annotations

import importlib
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

PAGE = Path(__file__).parents[2] / "docs" / "operating" / "bounds.md"
ROWS = re.findall(r"^\| [^|]+ \| ([0-9.]+) \| `([\w.]+):([\w.]+)`", PAGE.read_text(), re.M)


def _value(module: str, name: str) -> Any:
    found: Any = importlib.import_module(module)
    holder, _, attribute = name.rpartition(".")
    if not holder:
        return getattr(found, attribute)
    kind = getattr(found, holder)
    if is_dataclass(kind):
        default = next(f.default for f in fields(kind) if f.name == attribute)
        assert default is not MISSING
        return default
    assert issubclass(kind, BaseModel)
    return kind.model_fields[attribute].default


@pytest.mark.parametrize(("limit", "module", "name"), ROWS)
def test_a_limit_is_as_documented(limit: str, module: str, name: str) -> None:
    assert float(limit) == float(_value(module, name))


def test_every_row_is_read() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")]
    headings = sum(line.startswith("| what |") for line in rows)
    assert len(ROWS) == len(rows) - headings
