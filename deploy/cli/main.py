"""`headrace`: the one command. Each sub-command is a module that is imported when it is called."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any

import click

from deploy.cli.extensions import extension, extensions, kafka

# Name -> (module that holds a click Command of that name, line in the overview).
COMMANDS: dict[str, tuple[str, str]] = {
    "up": ("deploy.cli.stack", "start the local Kafka, Valkey and Triton"),
    "down": ("deploy.cli.stack", "stop what `up` started"),
    "status": ("deploy.cli.stack", "show the local servers"),
    "logs": ("deploy.cli.stack", "show a local server's log"),
    "prepare": ("deploy.cli.worker", "create a pipeline's topics, load the store's functions"),
    "simulate": ("deploy.cli.simulate", "write simulated card payments to a file"),
    "train": ("deploy.cli.train", "train a pipeline's model and load it into Triton"),
    "features": ("deploy.cli.features", "describe, load, backfill, prove, show features"),
    "worker": ("deploy.cli.worker", "turn events into predictions"),
    "monitor": ("deploy.cli.worker", "join labels, keep metrics, learn, detect drift, alert"),
    "replay": ("deploy.cli.replay", "send a data file through a pipeline's topics"),
    "dlq": ("deploy.cli.dlq", "list, show, replay or purge the records that were set aside"),
    "watch": ("deploy.cli.watch", "live view of what runs"),
    "report": ("deploy.cli.report", "write the HTML report of what the topics hold"),
    "demo": ("deploy.cli.demo", "everything at once: from nothing to a report"),
}


class _Lazy(click.Group):
    """A group that knows its commands' names without importing them: `--help` stays quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return [*COMMANDS, *extensions()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return extension(cmd_name) if cmd_name in extensions() else None
        module = importlib.import_module(COMMANDS[cmd_name][0])
        command: click.Command = getattr(module, cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            lines = {name: line for name, (_, line) in COMMANDS.items()}
            lines |= {name: extension(name).get_short_help_str(60) for name in extensions()}
            formatter.write_dl(list(lines.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="headrace")
def headrace() -> None:
    """Turn a Kafka topic of events into a Kafka topic of predictions, and watch over them.

    A first look, from nothing to a report:  headrace demo

    \b
    By hand:
      headrace up                              Kafka, Valkey and Triton on this machine
      headrace prepare fraud                   its topics, the store's functions
      headrace simulate --out payments.parquet simulated card payments
      headrace train fraud --data payments.parquet --from 2026-02-05 --to 2026-02-12
      headrace features load fraud --data payments.parquet --to 2026-02-12
      headrace worker fraud                    events -> predictions (Ctrl-C drains)
      headrace monitor fraud                   labels, metrics, drift, alerts
      headrace replay fraud --data payments.parquet --from 2026-02-12 --rate 5000
      headrace watch fraud                     look at it
      headrace report fraud                    what happened, as a page
      headrace down

    PIPELINE is a shipped pipeline's name (fraud) or your own as module:ATTRIBUTE.

    Settings come from flags, from the environment (HEADRACE_KAFKA__BOOTSTRAP=...), from
    headrace.toml, and otherwise from the local stack that `headrace up` started.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; every expected failure is one message on stderr and exit status 1."""
    # A pipeline named module:ATTRIBUTE is looked for in the current folder, as python -m would.
    sys.path.insert(0, "")
    try:
        headrace(args=arguments, standalone_mode=False, obj=kafka)
    except click.exceptions.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:
        if not _expected(error):
            raise
        click.echo(f"headrace: {error}", err=True)
        sys.exit(1)


def _expected(error: Any) -> bool:
    """Our own errors, in every package, say whether they are retriable; a bug's do not."""
    return isinstance(getattr(error, "retriable", None), bool)
