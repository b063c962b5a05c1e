"""Plotly figures as plain dictionaries; `theme` says how they look, and plotly.js draws them."""

from lit_seq.report.figures.coordinates import parallel_coordinates
from lit_seq.report.figures.curves import learning_curves
from lit_seq.report.figures.gradient_flow import gradient_flow
from lit_seq.report.figures.heat_map import heat_map
from lit_seq.report.figures.importance import importance
from lit_seq.report.figures.intervals import intervals
from lit_seq.report.figures.shares import profiles, updates

__all__ = [
    "gradient_flow",
    "heat_map",
    "importance",
    "intervals",
    "learning_curves",
    "parallel_coordinates",
    "profiles",
    "updates",
]
