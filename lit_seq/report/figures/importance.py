"""Shares of the variance, as bars."""

from lit_seq.report.configurations import short_names
from lit_seq.report.figures.figure import Figure, label, named
from lit_seq.report.importance import Importance
from lit_seq.report.style import COLOURS


def importance(found: Importance) -> Figure:
    """Draw a bar for each setting, the most important on top."""
    short = short_names(list(found.shares))
    trace = {
        "type": "bar",
        "orientation": "h",
        "x": list(found.shares.values()),
        "y": [label(short[key], 32) for key in found.shares],
        "text": [f"{share:.0%}" for share in found.shares.values()],
        "textposition": "outside",
        "cliponaxis": False,
        "marker": {"color": COLOURS[0]},
        "hovertemplate": "%{y}: %{x:.1%}<extra></extra>",
    }
    layout = {
        "xaxis": {"title": {"text": "Share of the variance"}, "range": [0, 1.06], "tickformat": ".0%"},
        "yaxis": {"type": "category", "autorange": "reversed", "showgrid": False},
        "showlegend": False,
    }
    bars = [f"{short[key]} {share:.0%}" for key, share in found.shares.items()]
    return Figure([trace], layout, f"Shares of the variance: {named(bars)}", rows=len(bars), tall=True)
