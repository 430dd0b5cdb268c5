"""Puts a report where people look for it: a folder of its own, and `latest` beside it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from deploy.report.columns import Run
from deploy.report.page import page
from deploy.report.summary import Summary, summarise

LATEST = "latest"


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """What was written, and the figures in it."""

    summary_file: Path
    page_file: Path
    summary: Summary


def write_report(
    run: Run,
    reports: Path,
    *,
    extra: Mapping[str, Any] | None = None,
    clock: Callable[[], float] = time.time,
) -> ReportFiles:
    """Write `reports/<time>/{summary.json,report.html}` and point `reports/latest` at them.

    `extra` is added to summary.json (what a caller measured itself); its keys must be new.
    The link is replaced last and in one step, so `latest` is always a whole report.
    Raises ValueError when `extra` would overwrite a figure.
    """
    now_s = clock()
    summary = summarise(run)
    taken = set(summary) & set(extra or {})
    if taken:
        raise ValueError(f"the summary has these keys already: {', '.join(sorted(taken))}")
    summary |= {"written_at_ms": round(now_s * 1000), **(extra or {})}
    folder = _new_folder(reports, datetime.fromtimestamp(now_s, UTC).strftime("%Y-%m-%dT%H%M%SZ"))
    files = ReportFiles(folder / "summary.json", folder / "report.html", summary)
    files.summary_file.write_text(json.dumps(summary, indent=2, allow_nan=False) + "\n")
    files.page_file.write_text(
        page(run, summary, written_at_ms=summary["written_at_ms"]), encoding="utf-8"
    )
    _point(reports / LATEST, folder.name)
    return files


def _new_folder(reports: Path, name: str) -> Path:
    """A folder that was not there: two reports in one second do not share one."""
    for number in range(1, 100):
        folder = reports / (name if number == 1 else f"{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise FileExistsError(f"a hundred reports in one second, in {reports}")


def _point(link: Path, target: str) -> None:
    draft = link.with_name(f".{link.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)
