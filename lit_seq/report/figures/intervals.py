"""Means and intervals of the configurations."""

from collections.abc import Sequence
from typing import Any

from lit_seq.report.captions import MOST_INTERVALS
from lit_seq.report.figures.figure import Figure, label, named
from lit_seq.report.style import Style
from lit_seq.report.table import Row
from lit_seq.report.wording import number


def intervals(rows: Sequence[Row], title: str, styles: dict[str, Style]) -> Figure | None:
    """Draw mean and interval of each configuration, best on top, its trials beside.

    Args:
        rows: the table, best mean first.
        title: name of the score.
        styles: by label.

    Returns:
        None where there are not two means to compare.
    """
    shown = [row for row in rows if row.mean is not None][:MOST_INTERVALS]
    if len(shown) < 2:
        return None
    data = []
    for position, row in enumerate(shown):
        style = styles[row.label]
        assert row.mean is not None
        hover = f"mean {number(row.mean)}"
        if row.interval:
            hover += f", 95 % interval {number(row.interval.low)} to {number(row.interval.high)}"
        centre: dict[str, Any] = {
            "type": "scatter",
            "mode": "markers",
            "name": label(row.label),
            "x": [row.mean],
            "y": [position],
            "marker": {"symbol": style.marker, "size": 11, "color": style.colour},
            "hovertemplate": f"{hover}<extra></extra>",
        }
        if row.interval:
            centre["error_x"] = {
                "array": [row.interval.high - row.mean],
                "arrayminus": [row.mean - row.interval.low],
                "symmetric": False,
                "color": style.colour,
                "thickness": 2,
                "width": 5,
            }
        trials = {
            "type": "scatter",
            "mode": "markers",
            "name": label(row.label),
            "x": row.scores,
            "y": [position + 0.28] * len(row.scores),
            "text": ["unknown" if seed is None else str(seed) for seed in row.seeds],
            "marker": {"symbol": "line-ns", "size": 9, "line": {"width": 1.5, "color": style.colour}},
            "hovertemplate": "seed %{text}: %{x:.5g}<extra></extra>",
        }
        data += [trials, centre] if len(row.scores) > 1 else [centre]
    layout = {
        "xaxis": {"title": {"text": label(title)}, "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": [label(row.label, 36, lines=2) for row in shown],
            "range": [len(shown) - 0.4, -0.6],
            "showgrid": False,
            "zeroline": False,
        },
        "hovermode": "closest",
        "showlegend": False,
    }
    alt = f"{title}: means and intervals of {named([row.label for row in shown])}"
    return Figure(data, layout, alt, rows=len(shown), tall=True)
