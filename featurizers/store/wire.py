"""How requests and answers of `functions.lua` look on the wire; no connection in here."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from featurizers.errors import StoreFormatError
from featurizers.layout import FORMAT, EntityLayout
from featurizers.store.port import (
    MAX_ENTRIES_PER_KEY,
    EntityEntries,
    EntityLogs,
    Ints,
    Logs,
    Request,
)

FUNCTION = b"hr1_append"
HEADER_WORDS = 1


def key_prefix(namespace: str, layout: EntityLayout) -> bytes:
    """The part of a key before the entity's own key; braces make a namespace one cluster slot."""
    return f"hr{FORMAT}:{{{namespace}}}:{layout.entity}.{layout.version}:".encode()


def log_key(namespace: str, layout: EntityLayout, key: str) -> bytes:
    """The store's key of one log."""
    return key_prefix(namespace, layout) + key.encode("utf-8", "surrogatepass")


def keys_pattern(namespace: str) -> bytes:
    """The glob that matches every key of a namespace, whatever characters its name has."""
    literal = re.sub(r"([\\*?\[\]^])", r"\\\1", namespace)
    return f"hr{FORMAT}:{{{literal}}}:*".encode()


def pack(request: Request, namespace: str, *, max_entries: int) -> bytes:
    """The request as one RESP command. Raises ValueError for more entries than a key may get."""
    keys: list[bytes] = []
    arguments: list[bytes] = [b"%d" % max_entries]
    for part in request:
        if len(part.counts) and part.counts.max() > MAX_ENTRIES_PER_KEY:
            raise ValueError(f"more than {MAX_ENTRIES_PER_KEY} entries for one key in a request")
        prefix = key_prefix(namespace, part.layout)
        keys += [prefix + key.encode("utf-8", "surrogatepass") for key in part.keys]
        arguments += [
            b"%d" % len(part.keys),
            b"%d" % part.n_read,
            b"%d" % part.layout.width_bytes,
            b"%d" % part.layout.retention_ms,
            b"%d" % part.layout.ttl_ms,
            part.counts.astype("<u2").tobytes(),
            np.ascontiguousarray(part.entries, "<i8").tobytes(),
        ]
    command = [b"FCALL", FUNCTION, b"%d" % len(keys), *keys, *arguments]
    return b"*%d\r\n" % len(command) + b"".join([b"$%d\r\n%b\r\n" % (len(a), a) for a in command])


def unpack_log(layout: EntityLayout, log: bytes, where: str) -> Ints:
    """int64[n, layout.width], the entries of a whole log as the store keeps it; read-only.

    Raises `StoreFormatError`, naming `where` it stands, for what this version did not write.
    """
    body = len(log) - 8 * HEADER_WORDS
    if log[:4] != b"HR" + bytes((FORMAT, layout.width)) or body < 0 or body % layout.width_bytes:
        raise StoreFormatError(
            f"the log at {where} is not of format {FORMAT} with {layout.width} words an entry: "
            "delete the key, or find out who else writes into the store"
        )
    return np.frombuffer(log, "<i8", offset=8 * HEADER_WORDS).reshape(-1, layout.width)


def unpack(request: Request, answer: Sequence[Any]) -> Logs:
    """The logs in an answer."""
    entities = tuple(
        _entity_logs(part, b"".join(chunks), totals, repeats)
        for part, (chunks, totals, repeats, _) in zip(request, answer, strict=True)
    )
    return Logs(entities, sum(cut for _, _, _, cut in answer))


def _entity_logs(part: EntityEntries, blob: bytes, totals: bytes, repeats: bytes) -> EntityLogs:
    lengths = np.frombuffer(totals, "<u4").astype(np.int64)
    sizes = HEADER_WORDS + lengths * part.layout.width
    pairs = np.frombuffer(repeats, "<u4").reshape(-1, 2).astype(np.int64)
    repeated = np.zeros(len(part.entries), np.bool_)
    repeated[pairs[:, 0]] = True
    positions = np.zeros(len(part.entries), np.int64)
    counts = part.counts[: part.n_read]
    n = int(counts.sum())
    positions[:n] = _positions(counts, lengths, repeated[:n])
    seen = pairs[pairs[:, 0] < n]
    positions[seen[:, 0]] = seen[:, 1]
    return EntityLogs(
        words=np.frombuffer(blob, "<i8"),
        starts=np.cumsum(sizes) - sizes + HEADER_WORDS,
        lengths=lengths,
        positions=positions,
        repeated=repeated,
    )


def _positions(counts: Ints, lengths: Ints, repeated: np.ndarray[Any, np.dtype[np.bool_]]) -> Ints:
    """What each new entry sees: the end of its log, less the new entries that came after it."""
    last = np.cumsum(counts) - 1
    appended_so_far = np.cumsum(~repeated)
    after: Ints = np.repeat(lengths - appended_so_far[last], counts)
    return after + appended_so_far
