"""How a reading looks in a terminal: fits 80 x 24, and uses more where there is more."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from itertools import pairwise

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from deploy.metrics.worker import STAGES
from deploy.watch.reading import Change, Reading, quantile

BLOCKS = "▁▂▃▄▅▆▇█"
BAR_WIDTH = 10
NARROW = 78
MAX_DRIFT = 6
MAX_ALERTS = 4
DIM, HEAD, GOOD, WARN, BAD = "dim", "bold cyan", "green", "yellow", "bold red"


def view(pipeline: str, change: Change, width: int, wall_s: float) -> RenderableType:
    """The whole view: what happened in `change`, for a terminal of `width` columns."""
    left = Group(_latency(change), Text(), _scores(change))
    right = Group(_drift(change.now), Text(), _quality(change.now))
    if width < NARROW:
        body: RenderableType = Group(left, Text(), right)
    else:
        grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
        grid.add_column(ratio=5)
        grid.add_column(ratio=6)
        grid.add_row(left, right)
        body = grid
    head = (_title(pipeline, change.now, wall_s), _flow(change), _trouble(change))
    return Group(*head, Text(), body, Text(), _alerts(change.now))


def _title(pipeline: str, now: Reading, wall_s: float) -> Text:
    roles: dict[str, int] = {}
    for process in now.processes:
        roles[process.role] = roles.get(process.role, 0) + 1
    running = ", ".join(f"{n} {role}{'s' if n > 1 else ''}" for role, n in sorted(roles.items()))
    text = Text.assemble((pipeline, "bold"), ("  " + running, DIM))
    text.append(datetime.fromtimestamp(wall_s, UTC).strftime("   %H:%M:%S UTC"), DIM)
    newest = now.by("headrace_newest_event_time_seconds", "pipeline").values()
    if newest:
        moment = datetime.fromtimestamp(max(newest), UTC).strftime("%Y-%m-%d %H:%M")
        text.append(f"   event time {moment}", DIM)
    for process in now.silent:
        text.append(f"\n{process.role} {process.pid} runs but does not answer", WARN)
    return text


def _flow(change: Change) -> Text:
    # The monitors' lag behind labels and predictions is another thing.
    by_topic = change.now.by("headrace_transport_lag_records", "topic")
    lag = sum(n for topic, n in by_topic.items() if topic.endswith(".events"))
    lag_s = max(change.now.by("headrace_lag_seconds", "pipeline").values(), default=0.0)
    batch = quantile(change.buckets("headrace_batch_size"), 0.5)
    text = Text()
    _say(text, "events", f"{change.rate('headrace_events_total'):,.0f}/s")
    _say(text, "predictions", f"{change.rate('headrace_predictions_total'):,.0f}/s")
    _say(text, "lag", f"{lag:,.0f} records, {lag_s:,.2f} s", WARN if lag_s > 5 else "")
    _say(text, "batch", "idle" if batch is None else f"{batch:,.0f}")
    return text


def _trouble(change: Change) -> Text:
    now, made = change.now, change.rate("headrace_predictions_total")
    degraded = change.rate("headrace_degraded_total")
    dead = now.total("headrace_dead_letters_total")
    text = Text()
    dying = change.rate("headrace_dead_letters_total") > 0
    _say(text, "dead letters", f"{dead:,.0f}", BAD if dying else "")
    _say(text, "degraded", f"{degraded / made:.1%}" if made else "0.0%", BAD if degraded else "")
    _say(text, "late", f"{now.total('headrace_late_total'):,.0f}")
    _say(text, "repeated", f"{now.total('headrace_repeated_total'):,.0f}")
    if now.total("headrace_breaker_open"):
        text.append("breaker open", BAD)
    return text


def _say(text: Text, name: str, value: str, style: str = "") -> None:
    text.append(f"{name} ", DIM)
    text.append(value, style or "bold")
    text.append("   ")


def _latency(change: Change) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column("", style=DIM)
    for _ in range(3):
        table.add_column("", justify="right")
    table.add_row(*(Text(name, HEAD) for name in ("latency ms", "p50", "p99", "p99.9")))
    for stage in STAGES:
        buckets = change.buckets("headrace_stage_seconds", stage=stage)
        cells = [_ms(quantile(buckets, q)) for q in (0.5, 0.99, 0.999)]
        style = "bold" if stage == "total" else ""
        table.add_row(stage, *(Text(cell, style) for cell in cells))
    return table


def _ms(seconds: float | None) -> str:
    if seconds is None:
        return "–"
    value = seconds * 1000
    return f"{value:,.2f}" if value < 10 else f"{value:,.0f}"


def _scores(change: Change) -> Text:
    """Scores by bucket, on a logarithmic scale: most events are far from the threshold."""
    buckets = change.buckets("headrace_score")
    text = Text.assemble(("scores  ", HEAD))
    made = change.rate("headrace_predictions_total")
    if not made:
        return text.append("none lately", DIM)
    up_to = [0.0, *(count for _, count in buckets)]
    counts = [count - below for below, count in pairwise(up_to)]
    text.append(spark(counts[:-1]))
    positive = change.rate("headrace_decisions_total") / made
    return text.append(f"  {positive:.1%} yes", DIM)


def spark(counts: list[float]) -> str:
    """Block characters by the logarithm of each count; a blank where it is zero."""
    top = math.log1p(max(counts, default=0.0)) or 1.0
    return "".join(
        BLOCKS[min(int(math.log1p(n) / top * len(BLOCKS)), len(BLOCKS) - 1)] if n > 0 else " "
        for n in counts
    )


def _drift(now: Reading) -> Table:
    thresholds = now.by("headrace_drift_threshold", "kind")
    threshold = thresholds.get("feature_drift") or thresholds.get("score_drift") or 0.0
    found = sorted(now.by("headrace_psi", "subject").items(), key=lambda item: -item[1])
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    table.add_column(justify="right")
    table.add_column(width=BAR_WIDTH)
    scale = f"  bar to {2 * threshold:g}" if found else ""
    table.add_row(Text.assemble(("drift (PSI)", HEAD), (scale, DIM)), "", "")
    if not found:
        table.add_row(Text("not measured yet", DIM), "", "")
    for subject, value in found[:MAX_DRIFT]:
        style = BAD if threshold and value >= threshold else GOOD
        full = 2 * threshold or max(found[0][1], 1e-9)
        bar = "█" * min(round(value / full * BAR_WIDTH), BAR_WIDTH)
        table.add_row(Text(subject, DIM), Text(f"{value:.3f}", style), Text(bar, style))
    return table


def _quality(now: Reading) -> Table:
    names = {"auc": "AUC", "average_precision": "AP", "log_loss": "log loss"}
    values = {name: now.by(f"headrace_prequential_{name}", "model") for name in names}
    models = sorted({model for found in values.values() for model in found})
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for _ in names:
        table.add_column(justify="right")
    table.add_row(Text("once labelled", HEAD), *(Text(name, HEAD) for name in names.values()))
    if not models:
        table.add_row(Text("no labels yet", DIM), *("" for _ in names))
    for model in models[:4]:
        cells = (f"{values[n][model]:.4f}" if model in values[n] else "–" for n in names)
        table.add_row(Text(model, DIM), *cells)
    return table


def _alerts(now: Reading) -> Text:
    since = now.samples.get("headrace_alert_since_event_time_seconds", {})
    found = now.samples.get("headrace_alert_active", {})
    text = Text.assemble(("alerts  ", HEAD))
    if not found:
        return text.append("none active", GOOD)
    text.append(f"{len(found)} active", BAD).append("   (since: event time)", DIM)
    for labels, effect in sorted(found.items(), key=lambda item: -item[1])[:MAX_ALERTS]:
        names = dict(labels)
        text.append(f"\n  {names['kind'].replace('_', ' ')} ", DIM)
        text.append(names["subject"], BAD)
        text.append(f"  effect {effect:.2f}")
        if labels in since:
            began = datetime.fromtimestamp(since[labels], UTC).strftime("%Y-%m-%d %H:%M")
            text.append(f"  since {began}", DIM)
    if len(found) > MAX_ALERTS:
        text.append(f"\n  and {len(found) - MAX_ALERTS} more", DIM)
    return text
