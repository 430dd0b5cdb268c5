"""What a demo plays: which payments, which dates, which changes of the world."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from deploy.report.columns import Injection
from featurizers.definitions import days
from streams.history import History, read_history
from streams.pipeline import Pipeline
from streams.simulator import Drift, DriftKind, SimulatorConfig, simulate
from streams.simulator.config import DEFAULT_STRENGTH, START_MS

HISTORY_DAYS = 45
TRAINING_DAYS = 7
LIVE_DAYS = 21
NEW_FRAUD_ON_DAY = 7
AMOUNTS_ON_DAY = 14
AMOUNT_SUBJECTS = ("amount", *(f"customer_avg_amount_{n}d" for n in (1, 7, 30)))
LOSS_SUBJECTS = ("log_loss",)

# The Fraud Detection Handbook, chapter 3: trained on 2018-07-25..31, tested on 2018-08-08..14.
RECORDED_TRAIN_FROM_MS = 1_532_476_800_000
RECORDED_LIVE_FROM_MS = 1_533_081_600_000
RECORDED_LIVE_DAYS = 14


@dataclass(frozen=True, slots=True)
class Scenario:
    """A history and its dates: trained on `[train_from, live_from)`, streamed from there.

    Attributes
    ----------
    history:
        All of it: for the windows before training, for training, and for the stream.
    live_to_ms:
        Events before this event time are streamed.
    rate:
        Events a second.
    injections:
        What was changed on purpose, and what should notice it.
    published:
        Whether the published figures of the Handbook are for this very data.
    """

    history: History
    train_from_ms: int
    live_from_ms: int
    live_to_ms: int
    rate: float
    injections: tuple[Injection, ...] = ()
    published: bool = False


def simulated(pipeline: Pipeline, *, seed: int, rate: float) -> Scenario:
    """Simulated payments; a new kind of fraud, and later all amounts grow, while they stream."""
    live_from_ms = START_MS + days(HISTORY_DAYS)
    drifts = tuple(
        Drift(kind, live_from_ms + days(day), DEFAULT_STRENGTH[kind])
        for kind, day in (
            (DriftKind.NEW_FRAUD, NEW_FRAUD_ON_DAY),
            (DriftKind.AMOUNTS, AMOUNTS_ON_DAY),
        )
    )
    history = simulate(
        SimulatorConfig(
            days=HISTORY_DAYS + LIVE_DAYS,
            seed=seed,
            drifts=drifts,
            label_delay_ms=pipeline.labels.delay_ms,
        )
    )
    subjects = {DriftKind.NEW_FRAUD: LOSS_SUBJECTS, DriftKind.AMOUNTS: AMOUNT_SUBJECTS}
    return Scenario(
        history=history,
        train_from_ms=live_from_ms - days(TRAINING_DAYS),
        live_from_ms=live_from_ms,
        live_to_ms=live_from_ms + days(LIVE_DAYS),
        rate=rate,
        injections=tuple(Injection(d.kind, d.at_ms, subjects[d.kind]) for d in drifts),
    )


def recorded(
    pipeline: Pipeline, file: Path, *, rate: float, say: Callable[[str], None]
) -> Scenario:
    """The Handbook's own payments, by its dates.

    Raises `DataFileError` when the file cannot be read, or holds nothing of those dates.
    """
    live_to_ms = RECORDED_LIVE_FROM_MS + days(RECORDED_LIVE_DAYS)
    history = read_history(pipeline, [file], to_ms=live_to_ms)
    say(f"{len(history):,} payments to the end of the stream")
    return Scenario(
        history=history,
        train_from_ms=RECORDED_TRAIN_FROM_MS,
        live_from_ms=RECORDED_LIVE_FROM_MS,
        live_to_ms=live_to_ms,
        rate=rate,
        published=True,
    )
