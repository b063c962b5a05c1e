"""Which colour, dash and marker stands for which configuration.

The colours are those of Okabe and Ito (2008, "Color Universal Design"), without black and yellow, which
vanish on a dark or a white page. Dash and marker say the same again, for print and for eyes that see
colours otherwise.
"""

from dataclasses import dataclass

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "triangle-down",
    "pentagon",
    "cross",
    "star",
    "hexagon",
    "triangle-left",
    "triangle-right",
    "hourglass",
)
GREY = "#8C8C8C"
SCALE = (
    (0.0, "#00224e"),
    (0.25, "#434e6c"),
    (0.5, "#7d7c78"),
    (0.75, "#bcaf6f"),
    (1.0, "#fee838"),
)
"""Cividis (Nuñez, Anderton & Renslow 2018, PLOS ONE 13), which eyes that see colours otherwise read alike."""


@dataclass(frozen=True)
class Style:
    """How a configuration is drawn; `plain` ones are the crowd behind the best."""

    colour: str = GREY
    dash: str = "solid"
    marker: str = "circle"
    plain: bool = True

    @property
    def stroke(self) -> str:
        """The dash as an SVG stroke-dasharray, for the table's swatch."""
        patterns = {
            "dash": "6 3",
            "dot": "2 3",
            "dashdot": "6 3 2 3",
            "longdash": "10 4",
            "longdashdot": "10 3 2 3",
        }
        return patterns.get(self.dash, "none")


def styles(n: int) -> list[Style]:
    """Return styles for `n` configurations, best first: up to 12 each its own, of more only the first 6."""
    told = n if n <= len(MARKERS) else len(COLOURS)
    own = [
        Style(COLOURS[i % 6], DASHES[(i + 3 * (i // 6)) % 6], MARKERS[i], plain=False)
        for i in range(min(n, told))
    ]
    return own + [Style()] * (n - len(own))
