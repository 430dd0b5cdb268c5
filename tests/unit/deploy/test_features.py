"""What `headrace features` says of a pipeline without a server."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from click.testing import CliRunner

from deploy.cli.features import features, parity_figures
from deploy.features.describe import log_bytes, span
from deploy.features.parity import ParityRun
from featurizers.definitions import days, hours
from featurizers.inspection import EntityView, SeenEntry
from featurizers.parity import compare
from streams.pipelines.fraud import FEATURES

REFERENCE = Path(__file__).parents[3] / "docs" / "reference" / "features-cli.md"


def test_the_estimate_is_the_documented_formula() -> None:
    # docs/reference/store-format.md, Sizing: 1.9 payments a day, 31 days, 3 words.
    assert log_bytes(24, days(31), 1.9) == round(150 + 1.34 * (8 + 8 * 3 * (1.9 * (31 + 2) + 16)))
    assert log_bytes(24, days(31), 0) == round(150 + 1.34 * (8 + 24 * 16))


def test_a_description_names_every_feature_and_what_each_log_costs() -> None:
    done = CliRunner().invoke(features, ["describe", "fraud", "--per-day", "1.9", "--json"])
    described = json.loads(done.stdout)
    assert described["fingerprint"] == FEATURES.fingerprint()
    assert [f["name"] for f in described["features"]] == list(FEATURES.names)
    risk = next(f for f in described["features"] if f["name"] == "terminal_risk_7d")
    assert risk["source"] == "labels"
    assert (risk["window_ms"], risk["delay_ms"], risk["default"]) == (days(7), days(7), 0.0)
    customer, terminal = described["entities"]
    assert (customer["name"], customer["bytes_per_entry"]) == ("customer", 24)
    assert customer["retention_ms"] == days(31)
    assert terminal["values"] == {"events": [], "labels": ["is_fraud * 1"]}
    assert customer["estimated_bytes"] == log_bytes(24, days(31), 1.9)


def test_the_table_cuts_nothing_off() -> None:
    text = CliRunner().invoke(features, ["describe", "fraud"]).output
    assert all(name in text for name in FEATURES.names)
    assert FEATURES.fingerprint() in text
    assert "…" not in text


def test_spans_are_said_in_their_largest_whole_unit() -> None:
    assert [span(ms) for ms in (days(7), hours(36), 90_000, 1_500, 0)] == [
        *("7d", "36h", "90s", "1500ms", "0d"),
    ]


def test_the_reference_names_every_command_option_and_key() -> None:
    text = REFERENCE.read_text(encoding="utf-8")
    for name, command in features.commands.items():
        assert f"\n## {name}\n" in text
        options = [o for p in command.params for o in p.opts if o.startswith("--")]
        assert [o for o in options if o not in text] == [], name
    described = json.loads(CliRunner().invoke(features, ["describe", "fraud", "--json"]).stdout)
    run = ParityRun(compare([], [], *[np.zeros((0, 0))] * 2), 0, 0, 0, 0)
    view = EntityView.__dataclass_fields__ | SeenEntry.__dataclass_fields__
    keys = {*described, *described["entities"][0], *described["features"][0], *view}
    assert [k for k in keys | set(parity_figures(run, "")) if f"`{k}`" not in text] == []
