"""Drift detectors: one small port, and every detector behind it."""

from online_learning.detectors.adwin import Adwin, AdwinConfig
from online_learning.detectors.bins import Bins, Histogram
from online_learning.detectors.port import Detector, Evaluation
from online_learning.detectors.psi import Psi, PsiConfig

__all__ = [
    "Adwin",
    "AdwinConfig",
    "Bins",
    "Detector",
    "Evaluation",
    "Histogram",
    "Psi",
    "PsiConfig",
]
