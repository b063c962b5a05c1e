"""Plotly figures as plain dictionaries; the page's script adds colours of the theme and draws them."""

from lit_seq.report.figures.coordinates import parallel_coordinates
from lit_seq.report.figures.curves import learning_curves
from lit_seq.report.figures.heat_map import heat_map
from lit_seq.report.figures.importance import importance
from lit_seq.report.figures.intervals import intervals
from lit_seq.report.figures.shares import profiles, updates

__all__ = [
    "heat_map",
    "importance",
    "intervals",
    "learning_curves",
    "parallel_coordinates",
    "profiles",
    "updates",
]
