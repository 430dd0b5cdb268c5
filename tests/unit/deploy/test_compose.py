"""The container files, as far as they can be checked without a container engine."""

import json
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from deploy.cli.main import COMMANDS
from deploy.metrics import MonitorMetrics, WorkerMetrics
from deploy.metrics.worker import LATENCY_BOUNDS_S
from deploy.prometheus.rules import LATENCY, RUNBOOKS, alert_names, rules_yaml
from deploy.settings import NOT_SETTINGS, Settings
from streams.transport.metrics import TransportMetrics

ROOT = Path(__file__).parents[3]
PROMETHEUS = ROOT / "deploy" / "prometheus"
DOCKER = ROOT / "deploy" / "docker"
ONE_OFF = {"prepare", "seed", "replay"}
METRIC = re.compile(r"\bheadrace_[a-z0-9_]+")


@cache
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
    return loaded


def services() -> list[str]:
    return sorted(compose()["services"])


@pytest.mark.parametrize("name", services())
def test_each_service_is_pinned_confined_and_bounded(name: str) -> None:
    service = compose()["services"][name]
    image, colon, tag = service["image"].rpartition(":")
    assert colon, "no tag"
    assert image
    assert tag != "latest"
    assert re.search(r"\d", tag)
    user = service["user"].split(":")[0]
    assert user not in {"0", "root"}
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] or name == "kafka"
    limits = service["deploy"]["resources"]["limits"]
    assert {"cpus", "memory"} <= set(limits)
    assert service["logging"]["options"]["max-size"]
    if name not in ONE_OFF:
        assert service["healthcheck"].get("test"), "no health check"
        assert service["restart"] == "unless-stopped"
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


@pytest.mark.parametrize("name", services())
def test_what_a_service_refers_to_is_there(name: str) -> None:
    file, service = compose(), compose()["services"][name]
    assert set(service.get("depends_on", {})) <= set(file["services"])
    secrets = [s if isinstance(s, str) else s["source"] for s in service.get("secrets", [])]
    assert set(secrets) <= set(file["secrets"])
    assert set(service["networks"]) <= set(file["networks"])
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if source.startswith("./"):
            assert (ROOT / source).exists(), source
        else:
            assert source in file["volumes"], source


def test_secrets_are_made_by_the_script_and_never_committed(tmp_path: Path) -> None:
    names = {Path(secret["file"]).name for secret in compose()["secrets"].values()}
    shutil.copy(DOCKER / "make-secrets.sh", tmp_path)
    for _ in range(2):
        subprocess.run(["sh", str(tmp_path / "make-secrets.sh")], check=True, capture_output=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert set(made) == names
    password = made["valkey.conf"].split()[1]
    assert password in made["headrace.toml"]
    assert len(password) == 48
    tracked = subprocess.run(
        ["git", "ls-files", "deploy/docker/secrets"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tracked.stdout.split() in ([], ["deploy/docker/secrets/.gitignore"])


def test_every_setting_of_the_containers_exists() -> None:
    dockerfile = (DOCKER / "Dockerfile").read_text()
    names = set(re.findall(r"\bHEADRACE_[A-Z_]+", dockerfile))
    for service in compose()["services"].values():
        names |= {name for name in service.get("environment", {}) if name.startswith("HEADRACE_")}
    assert "HEADRACE_KAFKA__BOOTSTRAP" in names
    for name in names - NOT_SETTINGS:
        section, _, key = name.removeprefix("HEADRACE_").lower().partition("__")
        field = Settings.model_fields[section]
        if key:
            assert key in field.annotation.model_fields, name  # type: ignore[union-attr]  # a model


def test_every_command_of_the_containers_exists() -> None:
    for name, service in compose()["services"].items():
        if not service["image"].startswith("headrace:"):
            continue
        command = service["command"]
        shell = re.findall(r"^headrace (\w+)", "\n".join(command), re.MULTILINE)
        assert set(shell or command[:1]) <= set(COMMANDS), name


def test_triton_scores_with_the_xgboost_that_trains() -> None:
    def version(file: Path) -> str:
        found = re.search(r"^xgboost-cpu==(\S+)", file.read_text(), re.MULTILINE)
        assert found, file
        return found[1]

    here = version(ROOT / "requirements" / "runtime.txt")
    assert version(DOCKER / "triton-requirements.txt") == here
    assert version(DOCKER / "triton.in") == here


@cache
def metric_names() -> frozenset[str]:
    registry = CollectorRegistry()
    WorkerMetrics(registry, pipeline="p", features=())
    MonitorMetrics(registry, pipeline="p")
    TransportMetrics(registry)
    names = set()
    for family in registry.collect():
        if family.type == "counter":
            names.add(f"{family.name}_total")
        elif family.type == "histogram":
            names |= {f"{family.name}_{part}" for part in ("bucket", "count", "sum")}
        else:
            names.add(family.name)
    return frozenset(names)


def test_every_metric_on_the_dashboard_exists() -> None:
    dashboard = json.loads((DOCKER / "grafana/dashboards/headrace.json").read_text())
    used = set(METRIC.findall(json.dumps(dashboard)))
    assert len(used) > 20
    assert used <= metric_names()


def test_the_dashboard_lies_on_its_grid_and_names_a_provisioned_source() -> None:
    dashboard = json.loads((DOCKER / "grafana/dashboards/headrace.json").read_text())
    provisioned = yaml.safe_load(
        (DOCKER / "grafana/provisioning/datasources/prometheus.yml").read_text()
    )
    source = provisioned["datasources"][0]["uid"]
    cells: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        own = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not own & cells, panel["title"]
        assert at["x"] + at["w"] <= 24
        cells |= own
        for target in panel.get("targets", []):
            assert target["datasource"]["uid"] == source


def test_every_metric_in_the_rules_and_the_docs_exists() -> None:
    objective = yaml.safe_load((PROMETHEUS / "slo.yaml").read_text())
    used = set(METRIC.findall(rules_yaml())) | set(METRIC.findall(json.dumps(objective)))
    assert used <= metric_names()
    documented = (ROOT / "docs/operating/metrics.md").read_text()
    named = {name for name in metric_names() if not name.endswith(("_count", "_sum"))}
    assert {n for n in named if f"`{n.removesuffix('_bucket')}`" not in documented} == set()
    runbooks = set(METRIC.findall((ROOT / RUNBOOKS).read_text()))
    assert runbooks <= metric_names()


def test_the_committed_rules_are_those_that_the_numbers_make() -> None:
    assert (PROMETHEUS / "rules.yaml").read_text() == rules_yaml()
    objective = yaml.safe_load((PROMETHEUS / "slo.yaml").read_text())["spec"]
    assert objective["objectives"][0]["target"] == LATENCY.share
    assert objective["timeWindow"][0]["duration"] == f"{LATENCY.days}d"
    query = objective["indicator"]["spec"]["ratioMetric"]["good"]["metricSource"]["spec"]["query"]
    assert f'le="{LATENCY.within_s}"' in query
    assert LATENCY.within_s in LATENCY_BOUNDS_S


def test_every_alert_links_to_a_heading_of_the_runbooks() -> None:
    headings = set(re.findall(r"^## (\w+)$", (ROOT / RUNBOOKS).read_text(), re.MULTILINE))
    assert headings == set(alert_names())
    for group in yaml.safe_load(rules_yaml())["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["annotations"]["runbook"] == f"{RUNBOOKS}#{rule['alert'].lower()}"
                assert rule["labels"]["severity"] in {"page", "ticket"}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not on this machine")
@pytest.mark.parametrize(
    "arguments", [("check", "rules", "rules.yaml"), ("test", "rules", "rules_test.yaml")]
)
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=PROMETHEUS, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
