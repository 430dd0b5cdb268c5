"""The commands around the local servers: `up`, `down`, `status` and `logs`."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from deploy.stack.addresses import StackAddresses
from deploy.stack.files import tail
from deploy.stack.interrupt import interrupted_once
from deploy.stack.layout import Layout
from deploy.stack.stack import ServiceStatus, Stack, bring_up, local_stack

FOLLOW_POLL_S = 0.2
COLOURS = {"running": "green", "stopped": "dim", "crashed": "red", "unresponsive": "yellow"}
JSON_OPTION = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Also write what is shown to FILE, as JSON.",
)


def _say(line: str) -> None:
    click.echo(line, err=True)


@click.command()
@JSON_OPTION
def up(json_file: Path | None) -> None:
    """Start the local Kafka, Valkey and Triton, and fetch what they need.

    Returns when all three answer. Running it again starts only what does not run. Data, models
    and ports are kept between runs, under .headrace/ of the checkout (HEADRACE_STATE_DIR moves
    it). Ctrl-C stops what this command started.
    """
    began = time.monotonic()
    with interrupted_once(_say):
        layout = Layout.discover()
        addresses = bring_up(layout, _say)
    _show(local_stack(layout, _say).status())
    click.echo(f"The stack is up ({time.monotonic() - began:.1f} s).")
    _write(json_file, local_stack(layout, _say).status(), addresses)


@click.command()
def down() -> None:
    """Stop the local servers, and nothing else. Data, models and ports stay."""
    stopped = local_stack(Layout.discover(), _say).down()
    names = ", ".join(stopped)
    click.echo(f"Stopped {names}." if names else "Nothing was running.")


@click.command()
@JSON_OPTION
def status(json_file: Path | None) -> None:
    """Show each local server: its state, process and ports.

    Ends with status 0 when all of them run and answer, otherwise 1. For a server that stopped
    by itself the end of its log is shown.
    """
    layout = Layout.discover()
    services = local_stack(layout, _say).status()
    _show(services)
    for service in services:
        if service.state == "crashed":
            click.echo(f"\n{service.name} stopped by itself. The end of {service.log}:")
            click.echo("".join(f"  {line}\n" for line in service.log_tail), nl=False)
    _write(json_file, services, _addresses(services, layout))
    sys.exit(0 if all(service.state == "running" for service in services) else 1)


@click.command()
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Go on showing what is written (until Ctrl-C).")
@click.option("-n", "--lines", default=20, show_default=True, help="How many last lines.")
def logs(service: str | None, follow: bool, lines: int) -> None:
    """Show the end of a server's log: SERVICE is kafka, valkey or triton; all without it."""
    stack = local_stack(Layout.discover(), _say)
    paths = _log_paths(stack, service)
    for name, path in paths.items():
        if len(paths) > 1:
            click.secho(f"== {name} ({path})", bold=True)
        click.echo("".join(f"{line}\n" for line in tail(path, lines)), nl=False)
    if follow:
        for name, line in _follow(paths):
            click.echo(f"{name} | {line}" if len(paths) > 1 else line)


def _log_paths(stack: Stack, service: str | None) -> dict[str, Path]:
    names = [service] if service else stack.names
    return {name: Path(stack.log_path(name)) for name in names}


def _follow(paths: Mapping[str, Path]) -> Iterator[tuple[str, str]]:
    """Every complete line that is added to the files; never ends."""
    read = {name: _size(path) for name, path in paths.items()}
    while True:
        for name, path in paths.items():
            size = _size(path)
            # A log that got shorter was put aside at the server's restart.
            start = read[name] if read[name] <= size else 0
            for line in _complete_lines(path, start):
                start += len(line)
                yield name, line.decode(errors="replace").rstrip("\n")
            read[name] = start
        time.sleep(FOLLOW_POLL_S)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _complete_lines(path: Path, start: int) -> list[bytes]:
    if not path.exists():
        return []
    with path.open("rb") as log:
        log.seek(start)
        return [line for line in log.readlines() if line.endswith(b"\n")]


def _addresses(services: Sequence[ServiceStatus], layout: Layout) -> StackAddresses | None:
    if not all(service.ports for service in services):
        return None
    ports = {name: port for service in services for name, port in service.ports.items()}
    return StackAddresses.of(ports, layout.models)


def _show(services: Sequence[ServiceStatus]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("service", "state", "pid", "up for", "ports"):
        table.add_column(heading)
    for service in services:
        ports = "  ".join(f"{name} {port}" for name, port in service.ports.items())
        table.add_row(
            service.name,
            f"[{COLOURS[service.state]}]{service.state}[/]",
            str(service.pid or "-"),
            "-" if service.uptime_s is None else _duration(service.uptime_s),
            ports or "-",
        )
    Console().print(table)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"


def _write(
    file: Path | None, services: Sequence[ServiceStatus], addresses: StackAddresses | None
) -> None:
    if file is None:
        return
    content: dict[str, Any] = {
        "services": [
            {
                "name": service.name,
                "state": service.state,
                "pid": service.pid,
                "uptime_s": service.uptime_s,
                "ports": service.ports,
                "log": service.log,
            }
            for service in services
        ],
        "addresses": addresses.to_json() if addresses else None,
    }
    file.write_text(json.dumps(content, indent=2) + "\n")
