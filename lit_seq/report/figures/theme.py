"""How charts look on a light or dark page, wherever they are drawn: in a browser's page or as a picture."""

import math
from typing import Any

from lit_seq.report.figures.figure import Figure

NARROW = 480
"""Pixels of width below which a chart is that of a phone."""
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Liberation Sans', sans-serif"


def _template(ink: str, line: str, page: str) -> dict[str, Any]:
    """Return a plotly template: what a chart has that does not say it otherwise."""
    axis = {
        "gridcolor": line,
        "linecolor": line,
        "zerolinecolor": line,
        "automargin": True,
        "ticks": "",
        "exponentformat": "power",
    }
    layout = {
        "font": {"family": _FONT, "size": 13, "color": ink},
        "paper_bgcolor": page,
        "plot_bgcolor": page,
        "margin": {"l": 48, "r": 12, "t": 12, "b": 44},
        "hoverlabel": {"namelength": -1, "font": {"size": 13}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "itemwidth": 40},
        # A label's ground hides what runs below it.
        "annotationdefaults": {"bgcolor": page},
        "xaxis": axis,
        "yaxis": axis,
    }
    return {"layout": layout}


TEMPLATES = {
    "light": _template(ink="#1b1f24", line="#dfe3e8", page="#ffffff"),
    "dark": _template(ink="#e6e9ed", line="#343a42", page="#16181d"),
}


def height(figure: Figure, narrow: bool = False) -> int:
    """Return how high a chart is, in pixels, on a wide page or a phone."""
    if figure.tall:
        return 110 + (28 if figure.rows > 10 else 44) * figure.rows
    entries = figure.rows if figure.layout.get("showlegend") else 0
    legend = 22 * math.ceil(entries / (1.5 if narrow else 3))
    return (80 + 200 * figure.panels if figure.panels > 1 else 320 if narrow else 400) + legend
