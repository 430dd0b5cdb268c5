"""The replay keeps its schedule whatever the broker does, and remembers what is confirmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from streams.errors import DeliveryFailed
from streams.history import History
from streams.pipelines.fraud import PIPELINE
from streams.replay import PAGE_RECORDS, Pace, Replayer
from streams.replay_plan import ReplayPlan
from streams.replay_progress import Checkpoint, ReplayTick
from streams.simulator import SimulatorConfig, simulate
from streams.timeline import Stretch, timeline
from tests.adapters.producer import MemoryProducer


class Time:
    """A clock that stands still but for sleeps, and for what `cost_s` each record costs."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds


class Stamping(MemoryProducer):
    """Notes when each record was sent; sending takes `cost_s`."""

    def __init__(self, time: Time, cost_s: float = 0.0) -> None:
        super().__init__()
        self.time, self.cost_s = time, cost_s
        self.sent_at_s: list[float] = []

    def send(self, topic: str, **record: Any) -> None:
        self.sent_at_s.append(self.time())
        self.time.sleep(self.cost_s)
        super().send(topic, **record)


@pytest.fixture(scope="module")
def payments() -> History:
    return simulate(SimulatorConfig(days=12, customers=100, terminals=200))


def whole(history: History) -> Iterator[Stretch]:
    return timeline(history.pieces(300))


def replayer(producer: MemoryProducer, time: Time, **options: Any) -> Replayer:
    return Replayer(PIPELINE, producer, clock=time, sleep=time.sleep, **options)


def test_events_go_at_their_rate_and_everything_goes(payments: History) -> None:
    time = Time()
    producer = Stamping(time)
    summary = replayer(producer, time).run(whole(payments), Pace(events_per_s=200))

    n, m = len(payments), payments.labels.num_rows
    assert (summary.events_sent, summary.labels_sent) == (n, m) == (n, n)
    assert summary.finished
    assert summary.records_confirmed == 2 * n
    events = [at - 1000 for at, sent in zip(producer.sent_at_s, producer.sent, strict=True)
              if sent.topic == "fraud.events"]  # fmt: skip
    assert all(0 <= at - i / 200 < 0.021 for i, at in enumerate(events))
    assert summary.events_per_s == pytest.approx(200, rel=0.01)
    assert summary.behind_schedule_ms_max < 21


def test_speed_keeps_the_distances_of_event_time(payments: History) -> None:
    time = Time()
    producer = Stamping(time)
    replayer(producer, time).run(whole(payments), Pace(speed=86_400))
    due = [when for stretch in whole(payments) for when in stretch.when_ms.tolist()]
    for at, when in zip(producer.sent_at_s, due, strict=True):
        assert -1e-6 < (at - 1000) - (when - due[0]) / 86_400_000 < 0.021


def test_a_sender_that_cannot_keep_up_says_so_and_drops_nothing(payments: History) -> None:
    time = Time()
    producer = Stamping(time, cost_s=0.01)
    summary = replayer(producer, time).run(timeline(payments.pieces(), labels=False),
                                           Pace(events_per_s=200))  # fmt: skip
    assert summary.events_sent == len(payments)
    # 5 ms are due for each record and 10 are needed.
    assert summary.behind_schedule_ms_max == pytest.approx(len(payments) * 5, rel=0.1)


def test_without_a_pace_nothing_is_waited_for(payments: History) -> None:
    time = Time()
    summary = replayer(Stamping(time), time).run(whole(payments), Pace())
    assert time() == 1000.0
    assert summary.behind_schedule_ms_max == 0.0


def test_unconfirmed_records_stop_nothing_but_are_not_remembered(
    payments: History, tmp_path: Path
) -> None:
    time = Time()
    producer = Stamping(time)
    producer.holding = True
    checkpoint = Checkpoint(tmp_path / "state" / "replay.json")
    seen: list[int] = []

    def release(tick: ReplayTick) -> None:
        seen.append(checkpoint.load())
        producer.holding = tick.events_sent < 1500

    summary = replayer(producer, time, on_tick=release).run(
        whole(payments), Pace(events_per_s=500), checkpoint=checkpoint
    )
    assert set(seen[:25]) == {0}
    assert checkpoint.load() == summary.records_confirmed == 2 * len(payments)


def test_a_stopped_replay_goes_on_where_it_stopped(payments: History, tmp_path: Path) -> None:
    time = Time()
    checkpoint = Checkpoint(tmp_path / "replay.json")
    first = Stamping(time)
    stopped = replayer(first, time, stopped=lambda: len(first.sent) >= 700)
    summary = stopped.run(whole(payments), Pace(events_per_s=100), checkpoint=checkpoint)
    assert not summary.finished
    assert summary.records_confirmed == checkpoint.load() == len(first.sent)
    assert 700 <= len(first.sent) < 700 + PAGE_RECORDS

    second = Stamping(time)
    rest = replayer(second, time).run(
        whole(payments), Pace(), checkpoint=checkpoint, skip=checkpoint.load()
    )

    undisturbed = Stamping(time)
    replayer(undisturbed, time).run(whole(payments), Pace())
    assert first.sent + second.sent == undisturbed.sent
    assert rest.finished
    assert rest.records_confirmed == len(undisturbed.sent)
    again = replayer(Stamping(time), time).run(whole(payments), Pace(), skip=checkpoint.load())
    assert (again.events_sent, again.finished) == (0, True)


def test_a_failed_delivery_ends_the_replay_before_what_it_concerns(
    payments: History, tmp_path: Path
) -> None:
    checkpoint = Checkpoint(tmp_path / "replay.json")
    producer = MemoryProducer(fail_at=1100, error=DeliveryFailed("the broker is gone"))
    time = Time()
    with pytest.raises(DeliveryFailed, match="the broker is gone"):
        replayer(producer, time).run(whole(payments), Pace(events_per_s=200), checkpoint=checkpoint)
    assert checkpoint.load() <= 1100
    assert len(producer.sent) < 2 * len(payments)


def test_a_plan_is_another_when_its_records_are(payments: History, tmp_path: Path) -> None:
    file = tmp_path / "p.parquet"
    payments.write(file)
    plan = ReplayPlan(pipeline=PIPELINE, files=(file,))
    same = ReplayPlan(pipeline=PIPELINE, files=(file,))
    assert plan.fingerprint() == same.fingerprint()
    assert plan.events() == len(payments)
    other = ReplayPlan(pipeline=PIPELINE, files=(file,), max_events=5)
    assert other.fingerprint() != plan.fingerprint()
    assert other.events() == sum(len(s.events) for s in other.stretches()) == 5
    before = plan.fingerprint()
    payments.between(to_ms=int(payments.event_times_ms[50])).write(file)
    assert plan.fingerprint() != before
