"""Where the servers are: as the settings say, and else as the local stack of this checkout says."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

from deploy.settings import (
    KafkaSettings,
    MetricsSettings,
    Settings,
    StoreSettings,
    TritonSettings,
)
from deploy.stack.addresses import load_stack
from deploy.stack.layout import Layout
from streams.transport.settings import TransportSettings


def with_endpoints(settings: Settings, layout: Layout) -> Settings:
    """The settings with every address that they leave open filled in from the local stack.

    Raises `StackNotRunning` when one is left open and no stack is running.
    """
    complete = (
        settings.kafka.bootstrap
        and settings.store.url.get_secret_value()
        and settings.triton.url
        and settings.model_repository != Path()
    )
    if complete:
        return settings
    stack = load_stack(layout)
    kafka = settings.kafka.bootstrap or stack.kafka_bootstrap
    url = settings.store.url.get_secret_value() or stack.valkey_url
    triton = settings.triton.url or stack.triton_grpc
    repository = settings.model_repository
    return settings.model_copy(
        update={
            "kafka": settings.kafka.model_copy(update={"bootstrap": kafka}),
            "store": settings.store.model_copy(update={"url": SecretStr(url)}),
            "triton": settings.triton.model_copy(update={"url": triton}),
            "model_repository": stack.model_repository if repository == Path() else repository,
        }
    )


def local_settings(layout: Layout) -> Settings:
    """Defaults, and the local stack's addresses: whatever file or environment say is left out.

    Raises `StackNotRunning`.
    """
    stack = load_stack(layout)
    return Settings.model_construct(
        kafka=KafkaSettings(bootstrap=stack.kafka_bootstrap),
        store=StoreSettings(url=SecretStr(stack.valkey_url)),
        triton=TritonSettings(url=stack.triton_grpc),
        metrics=MetricsSettings(),
        model_repository=stack.model_repository,
    )


def transport_settings(settings: Settings, *, group: str, client: str) -> TransportSettings:
    """How a process named `client` talks to Kafka, as a member of consumer group `group`."""
    kafka = settings.kafka
    extra = {name: str(value) for name, value in kafka.client.items()}
    if kafka.password is not None:
        extra["sasl.password"] = kafka.password.get_secret_value()
    return TransportSettings(
        bootstrap=kafka.bootstrap,
        group_id=group,
        client_id=client,
        session_timeout_ms=kafka.session_timeout_ms,
        max_poll_records=kafka.max_poll_records,
        delivery_timeout_ms=kafka.delivery_timeout_ms,
        extra=extra,
    )
