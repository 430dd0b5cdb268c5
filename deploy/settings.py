"""The settings of a Headrace process: one tree, from flags, environment and a TOML file.

Sources, the first that says something wins: the command's flags, environment variables
(`HEADRACE_KAFKA__BOOTSTRAP`), the file named by `HEADRACE_CONFIG` or `headrace.toml` in the current
folder, the local stack of this checkout (`headrace up`). Unknown keys are refused in each of them.
Secrets are `SecretStr`: they never appear in logs or messages.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from deploy.errors import SettingsError
from deploy.stack.identity import MARK_VARIABLE
from deploy.stack.layout import FETCHED_VARIABLE, STATE_VARIABLE

PREFIX = "HEADRACE_"
CONFIG_VARIABLE = "HEADRACE_CONFIG"
NOT_SETTINGS = {CONFIG_VARIABLE, STATE_VARIABLE, FETCHED_VARIABLE, MARK_VARIABLE}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class KafkaSettings(_Section):
    """The broker and how its clients behave."""

    bootstrap: str = Field("", description="host:port[,host:port...] of the brokers")
    session_timeout_ms: int = Field(
        10_000, ge=1_000, description="after this silence a worker's partitions go to another"
    )
    max_poll_records: int = Field(2_048, ge=1, le=20_000, description="largest micro-batch")
    delivery_timeout_ms: int = Field(30_000, ge=1_000, description="deadline of a produced record")
    client: dict[str, str | int | float | bool] = Field(
        default_factory=dict, description="further librdkafka properties, e.g. for TLS"
    )
    password: SecretStr | None = Field(None, description="SASL password, where the broker asks")


class StoreSettings(_Section):
    """The Redis or Valkey that keeps the entities' logs."""

    url: SecretStr = Field(SecretStr(""), description="redis://[user:password@]host:port/db")
    timeout_ms: int = Field(2_000, ge=10, description="deadline of one call")


class TritonSettings(_Section):
    """The scorer."""

    url: str = Field("", description="host:port of Triton's gRPC endpoint")
    timeout_ms: int = Field(1_000, ge=10, description="deadline of scoring one micro-batch")


class MetricsSettings(_Section):
    """Where /metrics, /live and /ready are served."""

    host: str = Field("127.0.0.1", description="address to bind; loopback unless told otherwise")
    port: int = Field(0, ge=0, le=65_535, description="0 chooses a free one")


class Settings(BaseSettings):
    """Everything a Headrace process is told from outside."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_nested_delimiter="__", extra="forbid", frozen=True
    )

    kafka: KafkaSettings = KafkaSettings()
    store: StoreSettings = StoreSettings()
    triton: TritonSettings = TritonSettings()
    metrics: MetricsSettings = MetricsSettings()
    model_repository: Path = Field(Path(), description="Triton's model repository")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags before environment before file; no .env file, no secrets folder."""
        del dotenv_settings, file_secret_settings
        file = os.environ.get(CONFIG_VARIABLE, "headrace.toml")
        return (init_settings, env_settings, TomlConfigSettingsSource(settings_cls, Path(file)))


def load_settings(flags: Mapping[str, Any] | None = None) -> Settings:
    """Read and validate the settings, with those of `flags` that are not None on top.

    Raises `SettingsError` that names every unknown or wrong key.
    """
    faults = [
        f"environment variable {name}: there is no such setting"
        for name in sorted(os.environ)
        if name.startswith(PREFIX) and name not in NOT_SETTINGS and not _known(name)
    ]
    try:
        settings = Settings(**(flags or {}))
    except ValidationError as error:
        faults += [_fault(e["loc"], e["msg"]) for e in error.errors(include_input=False)]
        raise SettingsError(faults) from None
    except ValueError as error:
        raise SettingsError([*faults, str(error)]) from None
    if faults:
        raise SettingsError(faults)
    return settings


def _fault(location: tuple[int | str, ...], message: str) -> str:
    key = ".".join(str(part) for part in location)
    if message.startswith("Extra inputs"):
        message = "there is no such setting"
    return f"{key}: {message}"


def _known(name: str) -> bool:
    section, *rest = name.removeprefix(PREFIX).lower().split("__")
    field = Settings.model_fields.get(section)
    if field is None or not rest:
        return field is not None
    section_type = field.annotation
    if not (isinstance(section_type, type) and issubclass(section_type, BaseModel)):
        return False
    return rest[0] in section_type.model_fields
