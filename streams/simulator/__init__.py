"""Simulated card payments: seeded, with fraud as the Handbook has it and drift on demand."""

from streams.simulator.config import Drift, DriftKind, SimulatorConfig, parse_drift
from streams.simulator.payments import simulate

__all__ = ["Drift", "DriftKind", "SimulatorConfig", "parse_drift", "simulate"]
