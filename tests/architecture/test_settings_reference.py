"""docs/reference/settings.md names every setting, and nothing else, with its true default."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from deploy.settings import Settings

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
FROM_STACK = ("", SecretStr(""), Path())


def _shown(default: Any) -> str:
    if default in FROM_STACK:
        return "local stack"
    return "none" if default is None or default == {} else str(default)


def _defaults() -> dict[str, str]:
    found = {}
    for name, section in Settings.model_fields.items():
        if isinstance(section.default, BaseModel):
            for key in type(section.default).model_fields:
                found[f"{name}.{key}"] = _shown(getattr(section.default, key))
        else:
            found[name] = _shown(section.default)
    return found


def test_the_reference_is_the_settings() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", REFERENCE.read_text(), re.M)
    assert dict(rows) == _defaults()
