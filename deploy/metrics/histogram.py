"""A Prometheus histogram that takes a whole micro-batch at once.

prometheus-client's own histogram costs about a microsecond for every value it is given; the hot
path has hundreds of values a batch and several stages. Here a batch is one vectorised count.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

MAX_SERIES = 256


@dataclass(slots=True)
class _Series:
    counts: npt.NDArray[np.int64]
    total: float = 0.0


class BatchHistogram(Collector):
    """A classic histogram (cumulative `le` buckets), registered under `name` when it is made.

    Safe to observe in one thread while another scrapes. At most `MAX_SERIES` combinations of
    label values are kept; one more raises ValueError, because it means an unbounded label.

    Attributes
    ----------
    bounds:
        Upper bucket bounds, ascending, without infinity, in the metric's unit.
    """

    def __init__(
        self,
        name: str,
        documentation: str,
        *,
        labels: Sequence[str],
        bounds: Sequence[float],
        registry: CollectorRegistry,
    ) -> None:
        self.bounds = np.asarray(bounds, dtype=np.float64)
        if not len(bounds) or (np.diff(self.bounds) <= 0).any():
            raise ValueError(f"{name}: bucket bounds must be ascending")
        self._name = name
        self._documentation = documentation
        self._labels = tuple(labels)
        self._ends = [*(repr(float(bound)) for bound in bounds), "+Inf"]
        self._series: dict[tuple[str, ...], _Series] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def observe_many(self, labels: tuple[str, ...], values: npt.ArrayLike) -> None:
        """Count every one of `values` (finite numbers in the metric's unit)."""
        array = np.asarray(values, dtype=np.float64)
        slots = np.searchsorted(self.bounds, array, side="left")
        counts = np.bincount(slots, minlength=len(self._ends))
        self._add(labels, counts, float(array.sum()))

    def observe(self, labels: tuple[str, ...], value: float, weight: int = 1) -> None:
        """Count `value` as often as `weight` says: once for each event of a batch."""
        counts = np.zeros(len(self._ends), dtype=np.int64)
        counts[np.searchsorted(self.bounds, value, side="left")] = weight
        self._add(labels, counts, value * weight)

    def _add(self, labels: tuple[str, ...], counts: npt.NDArray[np.int64], total: float) -> None:
        if len(labels) != len(self._labels):
            raise ValueError(f"{self._name} has the labels {self._labels}, not {labels}")
        with self._lock:
            series = self._series.get(labels)
            if series is None:
                if len(self._series) >= MAX_SERIES:
                    raise ValueError(f"{self._name}: more than {MAX_SERIES} series, at {labels}")
                series = _Series(np.zeros(len(self._ends), dtype=np.int64))
                self._series[labels] = series
            series.counts += counts
            series.total += total

    def describe(self) -> Iterable[HistogramMetricFamily]:
        """The metric without samples: how a registry finds two metrics of one name."""
        yield HistogramMetricFamily(self._name, self._documentation, labels=self._labels)

    def collect(self) -> Iterable[HistogramMetricFamily]:
        """The metric with a sample per bucket and series, as they are now."""
        family = HistogramMetricFamily(self._name, self._documentation, labels=self._labels)
        with self._lock:
            now = [(labels, s.counts.cumsum(), s.total) for labels, s in self._series.items()]
        for labels, cumulative, total in now:
            buckets = list(zip(self._ends, map(float, cumulative), strict=True))
            family.add_metric(labels, buckets, total)
        yield family
