"""The report of a run: figures for machines and a page for people, from what the topics hold."""

from deploy.report.collect import collect
from deploy.report.columns import Injection, Run
from deploy.report.summary import summarise
from deploy.report.terminal import print_summary
from deploy.report.write import ReportFiles, write_report

__all__ = [
    "Injection",
    "ReportFiles",
    "Run",
    "collect",
    "print_summary",
    "summarise",
    "write_report",
]
