"""Settings: which source wins, what is refused, and what never shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.endpoints import transport_settings, with_endpoints
from deploy.errors import SettingsError, StackNotRunning
from deploy.settings import Settings, load_settings
from deploy.stack.addresses import StackAddresses, save_stack
from deploy.stack.layout import Layout


@pytest.fixture(autouse=True)
def no_settings_from_outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("HEADRACE_CONFIG", "HEADRACE_KAFKA__BOOTSTRAP", "HEADRACE_STORE__URL"):
        monkeypatch.delenv(name, raising=False)


def test_flags_win_over_environment_and_environment_over_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "headrace.toml").write_text(
        '[kafka]\nbootstrap = "file:1"\n[triton]\nurl = "file:2"\ntimeout_ms = 77\n'
    )
    monkeypatch.setenv("HEADRACE_KAFKA__BOOTSTRAP", "environment:1")
    monkeypatch.setenv("HEADRACE_TRITON__URL", "environment:2")
    settings = load_settings({"kafka": {"bootstrap": "flag:1"}})
    assert settings.kafka.bootstrap == "flag:1"
    assert settings.triton.url == "environment:2"
    assert settings.triton.timeout_ms == 77


def test_every_unknown_or_wrong_key_is_named_at_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "headrace.toml").write_text("[kafka]\nbootstrp = 'x:1'\n[brokers]\na = 1\n")
    monkeypatch.setenv("HEADRACE_TRITON__TIMEOUT_MS", "soon")
    monkeypatch.setenv("HEADRACE_STORES__URL", "redis://x")
    with pytest.raises(SettingsError) as caught:
        load_settings()
    message = str(caught.value)
    for name in ("kafka.bootstrp", "brokers", "triton.timeout_ms", "HEADRACE_STORES__URL"):
        assert name in message


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADRACE_STORE__URL", "redis://user:hunter2@store:1/0")
    monkeypatch.setenv("HEADRACE_KAFKA__PASSWORD", "hunter2")
    settings = load_settings()
    transport = transport_settings(settings, group="g", client="c")
    assert transport.extra["sasl.password"] == "hunter2"
    assert "hunter2" not in f"{settings!r}{settings}{transport!r}"


def test_a_wrong_secret_does_not_show_in_the_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as caught:
        load_settings({"kafka": {"password": ["hunter2"]}})
    assert "hunter2" not in str(caught.value)
    assert "kafka.password" in str(caught.value)


def test_addresses_left_open_come_from_the_local_stack(tmp_path: Path) -> None:
    layout = Layout(tmp_path, tmp_path / "state", tmp_path)
    settings = load_settings({"kafka": {"bootstrap": "mine:9092"}})
    with pytest.raises(StackNotRunning, match="headrace up"):
        with_endpoints(settings, layout)
    local = StackAddresses(
        kafka_bootstrap="127.0.0.1:1",
        valkey_url="redis://127.0.0.1:2/0",
        triton_grpc="127.0.0.1:3",
        triton_http="127.0.0.1:4",
        triton_metrics="127.0.0.1:5",
        model_repository=tmp_path / "models",
    )
    save_stack(layout, local)
    found = with_endpoints(settings, layout)
    assert found.kafka.bootstrap == "mine:9092"
    assert found.store.url.get_secret_value() == "redis://127.0.0.1:2/0"
    assert found.triton.url == "127.0.0.1:3"
    assert found.model_repository == tmp_path / "models"


def test_every_setting_says_what_it_is() -> None:
    for section in Settings.model_fields.values():
        fields = getattr(section.annotation, "model_fields", None)
        described = fields.values() if fields else [section]
        assert all(field.description for field in described)
