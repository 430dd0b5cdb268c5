"""Dead letters for people and for machines. Nothing that a record holds reaches a terminal raw."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from streams.dlq import Selection, SetAside

KEY_CHARACTERS = 40
_HEX_BYTES = 16


def safe(text: str) -> str:
    """The text on one line, with every character that is not printable as an escape."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def key_text(key: bytes | None) -> str:
    """A key on one line; `(none)` when there is none."""
    return "(none)" if key is None else safe(key.decode(errors="backslashreplace"))


def moment_text(time_ms: int) -> str:
    """A wall-clock time to the second, UTC; the number itself where no calendar holds it."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError, OSError):
        return f"{time_ms} ms"


def position_text(found: SetAside) -> str:
    """Where the dead letter stands, as `show` and `replay` take it."""
    return f"{found.partition}:{found.offset}"


def source_text(found: SetAside) -> str:
    """Where the record stands that failed."""
    topic, partition, offset = found.source
    return f"{safe(topic)}/{partition}/{offset}"


def body_lines(value: bytes) -> list[str]:
    """Bytes as lines: the text where it is printable UTF-8, else sixteen bytes a line in hex."""
    try:
        lines = value.decode().split("\n")
    except UnicodeDecodeError:
        lines = ["\x00"]
    if all(line.replace("\t", " ").isprintable() for line in lines):
        return lines
    return [_hex_line(value, at) for at in range(0, len(value), _HEX_BYTES)]


def letters_table(letters: Sequence[SetAside]) -> Table:
    """One row a letter."""
    table = _table("position", "failed (UTC)", "stage", "reason", "field", "source", "key")
    table.add_column("bytes", justify="right")
    table.add_column("tries", justify="right")
    for found in letters:
        letter = found.letter
        key = key_text(found.key)
        _row(
            table,
            position_text(found),
            moment_text(letter.failed_at_ms),
            letter.stage,
            letter.reason,
            letter.field or "",
            source_text(found),
            key if len(key) <= KEY_CHARACTERS else f"{key[: KEY_CHARACTERS - 3]}...",
            f"{found.value_bytes:,}",
            str(letter.attempts),
        )
    return table


def reasons_table(letters: Iterable[SetAside]) -> Table:
    """How many of which reason."""
    table = _table("stage", "reason", "source topic")
    table.add_column("letters", justify="right")
    for (stage, reason, topic), count in by_reason(letters):
        _row(table, stage, reason, topic, f"{count:,}")
    return table


def by_reason(letters: Iterable[SetAside]) -> list[tuple[tuple[str, str, str], int]]:
    """`((stage, reason, source topic), count)`, the most frequent first."""
    counts = Counter((f.letter.stage, f.letter.reason, f.letter.source_topic) for f in letters)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def letter_lines(found: SetAside) -> list[str]:
    """All there is to know about one dead letter, the original bytes last."""
    letter = found.letter
    rows = {
        "position": position_text(found),
        "failed": f"{moment_text(letter.failed_at_ms)} UTC, attempt {letter.attempts}",
        "stage": letter.stage,
        "reason": letter.reason,
        "field": letter.field or "-",
        "message": letter.message,
        "source": source_text(found),
        "sent": f"{moment_text(letter.source_timestamp_ms)} UTC",
        "origin": found.origin,
        "key": key_text(found.key),
        "value": "(none)" if letter.value is None else f"{found.value_bytes:,} bytes",
    }
    lines = [f"{name:<10}{safe(text)}" for name, text in rows.items()]
    lines += [f"{'header':<10}{safe(name)}: {key_text(content)}" for name, content in found.headers]
    if found.cut:
        lines.append(f"{'not whole':<10}{', '.join(found.cut)}: read it in full at its source")
    return [*lines, "", *body_lines(letter.value or b"")]


def listing(selection: Selection, shown: Sequence[SetAside]) -> dict[str, Any]:
    """The list for machines; keys are documented in docs/operating/dead-letters.md."""
    return {
        "letters_total": len(selection.letters),
        "superseded": selection.superseded,
        "unreadable": selection.unreadable,
        "by_reason": [
            {"stage": stage, "reason": reason, "source_topic": topic, "letters": count}
            for (stage, reason, topic), count in by_reason(selection.letters)
        ],
        "letters": [_record(found) for found in shown],
    }


def _record(found: SetAside) -> dict[str, Any]:
    letter = found.letter
    return {
        "position": position_text(found),
        "failed_at_ms": letter.failed_at_ms,
        "stage": letter.stage,
        "reason": letter.reason,
        "field": letter.field,
        "message": letter.message,
        "source_topic": letter.source_topic,
        "source_partition": letter.source_partition,
        "source_offset": letter.source_offset,
        "origin": found.origin,
        "key": None if found.key is None else found.key.decode(errors="backslashreplace"),
        "value_bytes": found.value_bytes,
        "attempts": letter.attempts,
        "whole": not found.cut,
    }


def _hex_line(value: bytes, at: int) -> str:
    part = value[at : at + _HEX_BYTES]
    text = "".join(chr(b) if 32 <= b < 127 else "." for b in part)
    return f"{at:08x}  {part.hex(' '):<{3 * _HEX_BYTES}} {text}"


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str) -> None:
    from rich.text import Text

    table.add_row(*(Text(safe(cell)) for cell in cells))
