"""The plots of a report, as plotly figures in plain dicts: what is not there is not drawn."""

from deploy.report.figures.chart import Panel
from deploy.report.figures.features import feature_panel
from deploy.report.figures.flow import flow_panels
from deploy.report.figures.trust import trust_panels

__all__ = ["Panel", "feature_panel", "flow_panels", "trust_panels"]
