"""Where the running stack listens: the one thing that the rest of Headrace asks it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from deploy.errors import StackNotRunning, StateUnreadable
from deploy.stack.files import read_json, write_json
from deploy.stack.layout import Layout
from deploy.stack.ports import LOOPBACK


@dataclass(frozen=True)
class StackAddresses:
    """Client addresses of the three servers, and the folder from which Triton loads models."""

    kafka_bootstrap: str
    valkey_url: str
    triton_grpc: str
    triton_http: str
    triton_metrics: str
    model_repository: Path

    @classmethod
    def of(cls, ports: Mapping[str, int], model_repository: Path) -> "StackAddresses":
        """The addresses that belong to the ports of all services."""
        return cls(
            kafka_bootstrap=f"{LOOPBACK}:{ports['kafka']}",
            valkey_url=f"redis://{LOOPBACK}:{ports['valkey']}/0",
            triton_grpc=f"{LOOPBACK}:{ports['triton-grpc']}",
            triton_http=f"{LOOPBACK}:{ports['triton-http']}",
            triton_metrics=f"{LOOPBACK}:{ports['triton-metrics']}",
            model_repository=model_repository,
        )

    def to_json(self) -> dict[str, str]:
        """The addresses as the state file holds them."""
        return {name: str(value) for name, value in asdict(self).items()}


def save_stack(layout: Layout, addresses: StackAddresses) -> None:
    """Writes the addresses into the state folder."""
    write_json(layout.addresses, addresses.to_json())


def load_stack(layout: Layout) -> StackAddresses:
    """The addresses of the stack that `headrace up` started.

    Raises StackNotRunning when none was started, or it was stopped. Says nothing about a
    server that crashed since: its client will.
    """
    try:
        content = read_json(layout.addresses)
        if not content:
            raise StackNotRunning("The local stack is not running: start it with `headrace up`.")
        content["model_repository"] = Path(content["model_repository"])
        return StackAddresses(**content)
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise StateUnreadable(
            f"{layout.addresses} cannot be read ({error}): run `headrace up`, which writes it anew."
        ) from error
