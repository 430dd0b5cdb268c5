"""Each driver is imported in one place, so that its errors and quirks end there."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("streams", "featurizers", "inference", "online_learning", "deploy", "loadtests")

# Driver -> the paths under which it may be imported.
PLACES = {
    # The pass-through peer shows what the client costs without Headrace's transport.
    "confluent_kafka": ("streams/transport/", "loadtests/peers/"),
    "faust": ("streams/transport/",),
    "mode": ("streams/transport/",),
    "redis": ("featurizers/store/",),
    "tritonclient": ("inference/triton/",),
    "grpc": ("inference/triton/",),
    "xgboost": ("inference/",),
    "river": ("online_learning/",),
    "plotly": ("deploy/report/",),
    "pybreaker": ("inference/",),
    "pyarrow": ("streams/",),
}


def _imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            for node in ast.walk(tree):
                names = []
                if isinstance(node, ast.Import):
                    names = [alias.name for alias in node.names]
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    names = [node.module]
                for name in names:
                    found[name.partition(".")[0]].add(path.relative_to(ROOT).as_posix())
    return found


IMPORTS = _imports()


@pytest.mark.parametrize("driver", PLACES)
def test_a_driver_is_imported_only_in_its_place(driver: str) -> None:
    # Triton runs model.py in an environment of its own, with a driver of its own.
    files = {f for f in IMPORTS[driver] if not f.endswith("/model.py") or "triton" not in f}
    astray = {f for f in files if not f.startswith(PLACES[driver])}
    assert not astray, f"{driver} belongs under {PLACES[driver]}, but is imported by {astray}"


def test_the_table_names_drivers_that_are_there() -> None:
    assert {"confluent_kafka", "redis", "river", "xgboost"} <= set(IMPORTS)
