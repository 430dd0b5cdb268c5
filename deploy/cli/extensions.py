"""Commands that other packages bring: found through entry points, so that nothing imports them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from streams.transport.settings import TransportSettings

GROUP = "headrace.commands"


@cache
def extensions() -> dict[str, EntryPoint]:
    """Name -> entry point of every command that an installed package brings."""
    return {point.name: point for point in entry_points(group=GROUP)}


def extension(name: str) -> click.Command:
    """The command of that name; its module is imported now."""
    command: click.Command = extensions()[name].load()
    return command


def kafka(bootstrap: str | None) -> TransportSettings:
    """How an extension reaches Kafka: its `click.Context.obj`.

    The brokers are `bootstrap`, else those of the settings, else the local stack's. Raises
    `SettingsError` and `StackNotRunning`.
    """
    from deploy.endpoints import transport_settings
    from deploy.settings import load_settings
    from deploy.stack.addresses import load_stack
    from deploy.stack.layout import Layout

    settings = load_settings({"kafka": {"bootstrap": bootstrap}} if bootstrap else None)
    if not settings.kafka.bootstrap:
        local = {"bootstrap": load_stack(Layout.discover()).kafka_bootstrap}
        settings = settings.model_copy(update={"kafka": settings.kafka.model_copy(update=local)})
    return transport_settings(settings, group="headrace-extension", client="headrace-extension")
