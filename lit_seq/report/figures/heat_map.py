"""Two settings against each other, as a grid."""

import math
from typing import Any

from lit_seq.report.configurations import short_names, show
from lit_seq.report.figures.figure import Figure, label
from lit_seq.report.heat_map import HeatMap, Square
from lit_seq.report.plan import Goal
from lit_seq.report.style import SCALE
from lit_seq.report.wording import number

_LETTERS_FROM = 0.45
"""Share of the colour scale from which on it is bright: letters on it are black."""


def heat_map(grid: HeatMap, goal: Goal) -> Figure:
    """Draw the grid: the brighter the better, with each mean written out and the best in bold."""
    squares = [square for row in grid.squares for square in row]
    values = [s.value for s in squares if s is not None and s.value is not None]
    logarithmic = bool(values) and min(values) > 0 and max(values) > 30 * min(values)
    best = (min if goal == "minimize" else max)(values, default=None)

    def height(value: float) -> float:
        signed = math.log10(value) if logarithmic else value
        return -signed if goal == "minimize" else signed

    heights = [height(value) for value in values]
    low, high = min(heights, default=0.0), max(heights, default=1.0)
    span = (high - low) or 1.0
    short = short_names([grid.x, grid.y])
    names = [[label(show(value), 24) for value in axis] for axis in (grid.columns, grid.rows)]
    annotations = [
        _annotation(square, column, row, best, (height, low, span))
        for row, line in enumerate(grid.squares)
        for column, square in enumerate(line)
        if square is not None
    ]
    trace: dict[str, Any] = {
        "type": "heatmap",
        "x": list(range(len(grid.columns))),
        "y": list(range(len(grid.rows))),
        "z": [
            [None if s is None or s.value is None else height(s.value) for s in line] for line in grid.squares
        ],
        "text": [
            [f"{x}, {y}: {_hover(square)}" for x, square in zip(names[0], line, strict=True)]
            for y, line in zip(names[1], grid.squares, strict=True)
        ],
        "hovertemplate": "%{text}<extra></extra>",
        "colorscale": SCALE,
        "zmin": low,
        "zmax": low + span,
        "showscale": False,
        "xgap": 2,
        "ygap": 2,
    }
    # Places on a linear axis: on one of categories "10" would be the eleventh of them.
    axes = [
        {
            "title": {"text": label(short[key])},
            "tickvals": list(range(len(own))),
            "ticktext": own,
            "showgrid": False,
            "zeroline": False,
        }
        for key, own in zip((grid.x, grid.y), names, strict=True)
    ]
    layout = {"xaxis": axes[0], "yaxis": axes[1], "annotations": annotations, "showlegend": False}
    alt = f"Grid of {short[grid.y]} against {short[grid.x]}, each square with the mean of its trials"
    return Figure([trace], layout, alt, rows=len(grid.rows), tall=True)


def _annotation(square: Square, x: int, y: int, best: float | None, scale: Any) -> dict[str, Any]:
    annotation: dict[str, Any] = {"x": x, "y": y, "showarrow": False, "bgcolor": "rgba(0,0,0,0)"}
    if square.value is None:
        # No colour lies below: the page's own ink is read best.
        return annotation | {"text": label(told(square)), "font": {"size": 11}}
    height, low, span = scale
    bright = (height(square.value) - low) / span >= _LETTERS_FROM
    text = number(square.value, 3)
    return annotation | {
        "text": f"<b>{text}</b>" if square.value == best else text,
        "font": {"size": 12, "color": "#000000" if bright else "#ffffff"},
    }


def _hover(square: Square | None) -> str:
    if square is None:
        return "not run"
    return label(f"{told(square)}, {square.counted} of {square.trials} trials count", 120)


def told(square: Square) -> str:
    """Return a square's value, or what became of its trials."""
    if square.value is not None:
        return number(square.value)
    return ", ".join(f"{n} {state}" for state, n in square.states.items())
