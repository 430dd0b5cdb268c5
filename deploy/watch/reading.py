"""One look at the metrics of every running process, added up into one set of samples."""

from __future__ import annotations

import math
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from deploy.running import RunningProcess

Labels = tuple[tuple[str, str], ...]
Samples = Mapping[str, Mapping[Labels, float]]
Fetch = Callable[[str], str]

SCRAPE_TIMEOUT_S = 2.0
MAX_BYTES = 8_000_000
NEWEST = ("_seconds_since_progress", "_event_time_seconds", "_model_version", "_lag_seconds")
"""Gauges of which the largest counts when several processes have one; all others add up."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The samples of all processes at one moment.

    Attributes
    ----------
    at_s:
        Monotonic clock, seconds.
    by_process:
        Process id -> metric name -> labels -> value.
    samples:
        The same over all processes.
    processes, silent:
        Those that answered, and those that run but did not.
    """

    at_s: float
    by_process: Mapping[int, Samples]
    samples: Samples
    processes: tuple[RunningProcess, ...]
    silent: tuple[RunningProcess, ...]

    def total(self, name: str, **wanted: str) -> float:
        """The sum of a metric's samples that carry these labels; 0 where there is none."""
        return sum(self.by_labels(name, **wanted).values())

    def by_labels(self, name: str, **wanted: str) -> dict[Labels, float]:
        """A metric's samples that carry these labels."""
        found = self.samples.get(name, {})
        return {k: v for k, v in found.items() if wanted.items() <= dict(k).items()}

    def by(self, name: str, label: str) -> dict[str, float]:
        """A metric's samples added up by the values of one label."""
        found: dict[str, float] = defaultdict(float)
        for labels, value in self.samples.get(name, {}).items():
            found[dict(labels).get(label, "")] += value
        return dict(found)


def fetch_text(url: str) -> str:
    """The body at `url`. Raises OSError when nothing answers within `SCRAPE_TIMEOUT_S`."""
    if not url.startswith("http://"):
        raise OSError(f"{url} is not an http address")
    with urllib.request.urlopen(url, timeout=SCRAPE_TIMEOUT_S) as answer:  # noqa: S310 - checked
        return str(answer.read(MAX_BYTES).decode())


def read(
    processes: Iterable[RunningProcess], clock: Callable[[], float], fetch: Fetch = fetch_text
) -> Reading:
    """Look at every process once; one that does not answer is named in `silent`."""
    by_process: dict[int, Samples] = {}
    answered, silent = [], []
    for process in processes:
        try:
            by_process[process.pid] = _parse(fetch(process.metrics_url))
        except (OSError, ValueError, urllib.error.URLError):
            silent.append(process)
        else:
            answered.append(process)
    merged = _merge(by_process.values())
    return Reading(clock(), by_process, merged, tuple(answered), tuple(silent))


def _parse(text: str) -> Samples:
    samples: dict[str, dict[Labels, float]] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name.startswith("headrace_") and not math.isnan(sample.value):
                samples[sample.name][tuple(sorted(sample.labels.items()))] = sample.value
    return dict(samples)


def _merge(parts: Iterable[Samples]) -> Samples:
    merged: dict[str, dict[Labels, float]] = defaultdict(dict)
    for part in parts:
        for name, values in part.items():
            into = merged[name]
            for labels, value in values.items():
                known = into.get(labels)
                if known is None:
                    into[labels] = value
                else:
                    into[labels] = max(known, value) if name.endswith(NEWEST) else known + value
    return dict(merged)


@dataclass(frozen=True, slots=True)
class Change:
    """What happened between two readings."""

    before: Reading
    now: Reading

    @property
    def seconds(self) -> float:
        """How far apart the two are."""
        return max(self.now.at_s - self.before.at_s, 1e-9)

    def rate(self, counter: str, **wanted: str) -> float:
        """Growth of a counter, per second."""
        return sum(self.growth(counter, **wanted).values()) / self.seconds

    def growth(self, counter: str, **wanted: str) -> dict[Labels, float]:
        """What each series grew by, over all processes that answered now.

        A process that is new counts from zero; one that has ended, or did not answer before, is
        left out, so that its whole past does not look like a jump.
        """
        unknown = {process.pid for process in self.before.silent}
        grown: dict[Labels, float] = defaultdict(float)
        for pid, samples in self.now.by_process.items():
            if pid in unknown:
                continue
            past = self.before.by_process.get(pid, {}).get(counter, {})
            for labels, value in samples.get(counter, {}).items():
                if wanted.items() <= dict(labels).items():
                    grown[labels] += max(value - past.get(labels, 0.0), 0.0)
        return dict(grown)

    def buckets(self, histogram: str, **wanted: str) -> list[tuple[float, float]]:
        """(upper bound, observations up to it) of what was observed in between, ascending."""
        counts: dict[float, float] = defaultdict(float)
        for labels, value in self.growth(f"{histogram}_bucket", **wanted).items():
            counts[float(dict(labels)["le"])] += value
        return sorted(counts.items())


def quantile(buckets: list[tuple[float, float]], q: float) -> float | None:
    """The q-quantile of cumulative buckets, even inside a bucket, as Prometheus computes it.

    None where nothing was observed; the last finite bound where the quantile lies beyond it.
    """
    if not buckets or buckets[-1][1] <= 0:
        return None
    rank = q * buckets[-1][1]
    low, below = 0.0, 0.0
    for bound, count in buckets:
        if count >= rank:
            if math.isinf(bound):
                return low
            inside = (rank - below) / (count - below) if count > below else 1.0
            return low + (bound - low) * inside
        low, below = bound, count
    return low
