"""`headrace dlq`: look at the records that were set aside, send them again, delete them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from deploy.cli import dead_letter_words as words
from deploy.cli.moments import MOMENT

if TYPE_CHECKING:
    from rich.console import Console

    from streams.dlq import Resending, Selection
    from streams.pipeline import Pipeline
    from streams.transport.batch import TopicPartition
    from streams.transport.settings import TransportSettings

CONFIRM_S = 60.0
ROWS_SHOWN = 50
SKIPPED_SHOWN = 10
Command = TypeVar("Command", bound=Callable[..., Any])


class Position(click.ParamType):
    """`PARTITION:OFFSET`; becomes a pair of numbers."""

    name = "partition:offset"

    def convert(
        self,
        value: str | tuple[int, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        """The partition and the offset."""
        if isinstance(value, tuple):
            return value
        partition, _, offset = value.partition(":")
        if not all(n.isascii() and n.isdigit() and len(n) < 19 for n in (partition, offset)):
            self.fail(f"{value!r} is no position: write it like 2:1047", param, ctx)
        return int(partition), int(offset)


POSITION = Position()


def _filters(command: Command) -> Command:
    """The options that choose dead letters; `_wanted` takes their values."""
    for option in reversed(
        (
            click.option("--stage", help="decode, features, score or publish."),
            click.option("--reason", help="A reason code, such as missing_field."),
            click.option("--source-topic", help="events, labels, predictions, or a topic's name."),
            click.option("--since", type=MOMENT, help="Failed at this wall time (UTC) or later."),
            click.option("--until", type=MOMENT, help="Failed before this wall time (UTC)."),
            click.option("--key", help="The original record's key, exactly."),
        )
    ):
        command = option(command)
    return command


@click.group()
def dlq() -> None:
    """Look at the records that could not be processed, send them again, delete them.

    A position is PARTITION:OFFSET in the pipeline's dead letter topic, as `list` shows it. Of a
    record that failed more than once, the latest dead letter counts; the earlier ones are left out.
    """


@dlq.command("list")
@click.argument("pipeline")
@_filters
@click.option(
    "--limit", type=click.IntRange(min=0), default=ROWS_SHOWN, help="Show the newest N [50]."
)
@click.option(
    "--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Figures as JSON."
)
def list_letters(pipeline: str, limit: int, json_file: Path | None, **choice: Any) -> None:
    """Show PIPELINE's dead letters: which, why, from where; and how many of each reason."""
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    selection = _select(loaded, _transport(loaded), (), choice, keep_values=False)
    newest = sorted(selection.letters, key=lambda f: (f.letter.failed_at_ms, f.source))
    shown = newest[max(len(newest) - limit, 0) :]
    console = _console()
    if shown:
        console.print(words.letters_table(shown))
    if selection.letters:
        console.print()
        console.print(words.reasons_table(selection.letters))
        console.print()
    click.echo(f"{len(selection.letters):,} dead letters, {len(shown):,} shown")
    _say_left_out(selection)
    if json_file:
        figures = words.listing(selection, shown)
        json_file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")


@dlq.command()
@click.argument("pipeline")
@click.argument("position", type=POSITION)
def show(pipeline: str, position: tuple[int, int]) -> None:
    """Show one dead letter of PIPELINE whole: why, from where, headers, the original bytes."""
    from streams.dlq import SetAside, read_letter
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    topic = loaded.topic("deadletters")
    record = read_letter(_transport(loaded), topic, *position)
    if record is None:
        raise click.ClickException(
            f"{topic} holds nothing at {_text(position)}: see `headrace dlq list {pipeline}`"
        )
    found = SetAside.of(record)
    if found is None:
        raise click.ClickException(f"what {topic} holds at {_text(position)} is no dead letter")
    for line in words.letter_lines(found):
        click.echo(line)


@dlq.command()
@click.argument("pipeline")
@click.argument("positions", type=POSITION, nargs=-1)
@_filters
@click.option("--limit", type=click.IntRange(min=1), help="Send the first N of them only.")
@click.option("--dry-run", is_flag=True, help="Show what would be sent, send nothing.")
def replay(
    pipeline: str,
    positions: tuple[tuple[int, int], ...],
    limit: int | None,
    dry_run: bool,
    **choice: Any,
) -> None:
    """Send original records back to where they came from, to be processed like any other.

    All of PIPELINE's dead letters, those that the filters choose, or those at the given POSITIONS.
    Bytes, key and headers are the original ones, in the order in which they stood; headers say
    which attempt it is and where the record first stood. Dead letters stay in their topic until
    `purge`: a record that is sent twice is predicted twice, with the same features, under one id.
    """
    from streams.dlq import plan_replay
    from streams.pipeline import load_pipeline

    loaded = load_pipeline(pipeline)
    transport = _transport(loaded)
    selection = _select(loaded, transport, positions, choice, keep_values=True)
    plan = plan_replay(loaded, selection.letters[:limit])
    if dry_run:
        if plan.sent:
            _console().print(words.letters_table(plan.sent[:ROWS_SHOWN]))
        click.echo(f"{len(plan.sent):,} records would be sent, at most {ROWS_SHOWN} shown")
    else:
        _resend(transport, plan)
        click.echo(f"{len(plan.sent):,} records sent")
    _say_skipped(plan)
    _say_left_out(selection)


@dlq.command()
@click.argument("pipeline")
@click.option(
    "--before", type=POSITION, multiple=True, help="Up to this position, which stays; repeatable."
)
@click.option("--all", "everything", is_flag=True, help="All that the topic holds now.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def purge(pipeline: str, before: tuple[tuple[int, int], ...], everything: bool, yes: bool) -> None:
    """Delete PIPELINE's dead letters for good, up to a position of each partition or all."""
    from streams.pipeline import load_pipeline
    from streams.transport.topics import delete_before, start_offsets

    if bool(before) == everything:
        raise click.UsageError("say --all, or --before PARTITION:OFFSET")
    loaded = load_pipeline(pipeline)
    transport = _transport(loaded)
    ends = _ends(transport, loaded, before)
    starts = start_offsets(transport, list(ends))
    ends = {at: end for at, end in ends.items() if end > starts[at]}
    count = sum(end - starts[at] for at, end in ends.items())
    topic = loaded.topic("deadletters")
    if not count:
        click.echo(f"{topic} holds none of them")
        return
    if not yes:
        click.confirm(f"delete {count:,} dead letters of {topic} for good?", abort=True, err=True)
    delete_before(transport, ends)
    click.echo(f"{count:,} dead letters deleted")


def _ends(
    transport: TransportSettings, pipeline: Pipeline, before: tuple[tuple[int, int], ...]
) -> dict[TopicPartition, int]:
    """Where deleting ends in each partition: never beyond what the topic holds now."""
    from streams.transport.topics import end_offsets, topic_partitions

    topic = pipeline.topic("deadletters")
    ends = end_offsets(transport, topic_partitions(transport, topic))
    if not before:
        return ends
    lasts = {at.partition: end for at, end in ends.items()}
    asked = dict(before)
    if len(asked) < len(before):
        raise click.UsageError("--before names a partition twice")
    for partition, offset in before:
        if partition not in lasts:
            raise click.UsageError(f"--before {partition}:{offset}: {topic} has no such partition")
        if offset > lasts[partition]:
            raise click.UsageError(
                f"--before {partition}:{offset}: the partition ends at {lasts[partition]}"
            )
    return {at: asked[at.partition] for at in ends if at.partition in asked}


def _transport(pipeline: Pipeline) -> TransportSettings:
    from deploy.endpoints import transport_settings, with_endpoints
    from deploy.settings import load_settings
    from deploy.stack.layout import Layout

    settings = load_settings()
    if not settings.kafka.bootstrap:
        settings = with_endpoints(settings, Layout.discover())
    return transport_settings(
        settings, group=f"headrace-{pipeline.name}-dlq", client="headrace-dlq"
    )


def _select(
    pipeline: Pipeline,
    transport: TransportSettings,
    positions: tuple[tuple[int, int], ...],
    choice: dict[str, Any],
    *,
    keep_values: bool,
) -> Selection:
    from streams.dlq import Wanted, read_letters, select

    topic, key = choice["source_topic"], choice["key"]
    wanted = Wanted(
        stage=choice["stage"],
        reason=choice["reason"],
        source_topic=pipeline.topics.get(topic, topic),
        since_ms=choice["since"],
        until_ms=choice["until"],
        key=None if key is None else key.encode(errors="surrogateescape"),
        positions=frozenset(positions),
    )
    letters = read_letters(transport, pipeline.topic("deadletters"), since_ms=choice["since"])
    selection = select(letters, wanted, keep_values=keep_values)
    if len(selection.letters) + selection.superseded < len(wanted.positions):
        found = {(f.partition, f.offset) for f in selection.letters}
        missing = ", ".join(_text(at) for at in sorted(wanted.positions - found))
        raise click.ClickException(
            f"{missing}: at one or more of these stands no dead letter that the filters choose; "
            "nothing was sent"
        )
    return selection


def _resend(transport: TransportSettings, plan: Resending) -> None:
    from streams.dlq import resend
    from streams.transport.producer import BatchProducer

    producer = BatchProducer(transport)
    try:
        resend(plan.sent, producer, deadline_s=CONFIRM_S)
    finally:
        producer.close(deadline_s=5.0)


def _say_skipped(plan: Resending) -> None:
    for found, why in plan.skipped[:SKIPPED_SHOWN]:
        click.echo(f"skipped {words.position_text(found)}: {why}", err=True)
    if len(plan.skipped) > SKIPPED_SHOWN:
        click.echo(f"skipped {len(plan.skipped) - SKIPPED_SHOWN:,} more", err=True)


def _say_left_out(selection: Selection) -> None:
    if selection.superseded:
        click.echo(f"{selection.superseded:,} left out: the same record failed again later")
    if selection.unreadable:
        click.echo(f"{selection.unreadable:,} records of the topic are no dead letters")


def _console() -> Console:
    """As wide as the terminal; without one, as wide as a row."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else 200)


def _text(position: tuple[int, int]) -> str:
    return f"{position[0]}:{position[1]}"
