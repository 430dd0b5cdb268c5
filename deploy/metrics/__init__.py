"""Prometheus metrics of Headrace's processes, on registries that are passed in."""

from deploy.metrics.histogram import BatchHistogram
from deploy.metrics.monitor import MonitorMetrics
from deploy.metrics.server import Check, MetricsServer, serve_metrics
from deploy.metrics.worker import STAGES, WorkerMetrics

__all__ = [
    "STAGES",
    "BatchHistogram",
    "Check",
    "MetricsServer",
    "MonitorMetrics",
    "WorkerMetrics",
    "serve_metrics",
]
