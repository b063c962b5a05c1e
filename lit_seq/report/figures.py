"""Plotly figures as plain dictionaries; the page's script adds colours of the theme and draws them."""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.report.curves import Curve, Line, Panel
from lit_seq.report.style import COLOURS, Style
from lit_seq.report.table import Row
from lit_seq.report.wording import metric_name, number

MOST_INTERVALS = 24
_ENDS = {
    "diverged": ("x", "diverged here"),
    "failed": ("x-thin", "failed here"),
    "stopped": ("square-open", "stopped here"),
    "running": ("triangle-right", "still running"),
    "queued": ("triangle-right-open", "to be continued"),
}


@dataclass
class Figure:
    """One chart.

    Attributes:
        data: plotly traces.
        layout: plotly layout.
        seconds: x of each trace in training time, where all trials logged it.
        rows: number of legend entries, or of lines of a chart of intervals: what its height depends on.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    seconds: list[list[float]] | None = None
    rows: int = 0


def label(text: str, longest: int = 60) -> str:
    """Make text safe as a plotly label: plotly reads some HTML in labels, such as links."""
    return html.escape(text if len(text) <= longest else text[: longest - 1] + "…", quote=False)


def learning_curves(panel: Panel, styles: dict[str, Style]) -> Figure:
    """Draw a panel: bands and single trials faint, means on top, the crowd grey behind them."""
    order = sorted(panel.curves, key=lambda curve: not styles[curve.label].plain)
    traces: list[tuple[dict[str, Any], list[float] | None]] = []
    for curve in order:
        traces += _back(curve, styles[curve.label], singly=len(order) <= len(COLOURS))
    for curve in order:
        traces += _front(curve, styles[curve.label])
    axis = _y_axis(panel)
    ends = _ends(panel, styles, axis)
    traces += ends
    seconds = [x for _, x in traces if x is not None]
    own = [curve for curve in panel.curves if not styles[curve.label].plain]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "Optimiser steps"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": label(metric_name(panel.metric))}, **axis},
        "hovermode": "closest",
        "showlegend": len(panel.curves) > 1 or bool(ends),
    }
    return Figure(
        [trace for trace, _ in traces], layout, seconds if len(seconds) == len(traces) else None, len(own)
    )


def _back(curve: Curve, style: Style, singly: bool) -> list[tuple[dict[str, Any], list[float] | None]]:
    """Draw the band, and faintly each trial, or only those that are in no mean."""
    traces: list[tuple[dict[str, Any], list[float] | None]] = []
    if style.plain:
        return traces
    if curve.low is not None and curve.high is not None:
        band = {
            "type": "scatter",
            "x": _rounded(curve.steps + curve.steps[::-1], 9),
            "y": _rounded(curve.high + curve.low[::-1]),
            "fill": "toself",
            "fillcolor": _transparent(style.colour),
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": _group(curve),
        }
        traces.append((band, curve.seconds and curve.seconds + curve.seconds[::-1]))
    for line in curve.lines if curve.n != 1 or len(curve.lines) > 1 else []:
        unfinished = line.state != "finished"
        if not singly and not unfinished:
            continue
        seed = "" if line.seed is None else f", seed {line.seed}"
        trace = _line(curve, style, line.steps, line.values) | {
            "name": label(f"{curve.label}{seed} ({line.trial}{f', {line.state}' if unfinished else ''})", 90),
            "line": {"color": style.colour, "dash": style.dash, "width": 1 if curve.n else 2},
            "opacity": 0.45 if curve.n else 0.8,
            "showlegend": False,
        }
        traces.append((trace, line.seconds))
    return traces


def _front(curve: Curve, style: Style) -> list[tuple[dict[str, Any], list[float] | None]]:
    """Draw the mean; for a configuration of the crowd without one, its first trial."""
    steps, values, seconds = curve.steps, curve.mean, curve.seconds
    if not steps:
        if not style.plain:
            # Its trials are drawn already: this entry of the legend stands for them.
            steps, values = [curve.lines[0].steps[0]], [curve.lines[0].values[0]]
            seconds = curve.lines[0].seconds and curve.lines[0].seconds[:1]
        else:
            first = curve.lines[0]
            steps, values, seconds = first.steps, first.values, first.seconds
    trace = _line(curve, style, steps, values)
    unfinished = "" if curve.n else " (unfinished)"
    if style.plain:
        trace |= {"line": {"color": style.colour, "width": 1}, "opacity": 0.5, "showlegend": False}
        trace["name"] = label(curve.label + unfinished, 90)
    else:
        sparse = len(steps) <= 30
        trace |= {
            "name": label(curve.label + unfinished, 40),
            "mode": "lines+markers" if sparse else "lines",
            "line": {"color": style.colour, "dash": style.dash, "width": 2.5},
        }
        if sparse:
            trace["marker"] = {"symbol": style.marker, "size": 7, "color": style.colour}
    return [(trace, seconds)]


def _line(curve: Curve, style: Style, steps: list[float], values: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": _rounded(steps, 9),
        "y": _rounded(values),
        "legendgroup": _group(curve),
        "hovertemplate": "step %{x:,.0f}: %{y:.4g}",
    }


def _ends(
    panel: Panel, styles: dict[str, Style], axis: dict[str, Any]
) -> list[tuple[dict[str, Any], list[float] | None]]:
    """Mark where trials that did not finish ended, a legend entry a state; at the edge if off the chart."""
    low, high = axis.get("range", (-math.inf, math.inf))
    # Plotly drops a mark outside the axis, be it by the rounding of its value.
    inset = 1e-3 * (high - low) if "range" in axis else 0.0
    low, high = low + inset, high - inset
    if axis.get("type") == "log":
        low, high = 10**low, 10**high
    ends: dict[str, list[tuple[Curve, Line]]] = {}
    for curve in panel.curves:
        for line in curve.lines:
            if line.state != "finished":
                ends.setdefault(line.state, []).append((curve, line))
    traces: list[tuple[dict[str, Any], list[float] | None]] = []
    for state, found in ends.items():
        trace = {
            "type": "scatter",
            "mode": "markers",
            "name": _ENDS[state][1],
            "x": _rounded([line.steps[-1] for _, line in found], 9),
            "y": _rounded([min(max(line.values[-1], low), high) for _, line in found]),
            "text": [label(f"{c.label} ({line.trial}): {number(line.values[-1])}", 90) for c, line in found],
            "marker": {
                "symbol": _ENDS[state][0],
                "size": 9,
                "color": [styles[curve.label].colour for curve, _ in found],
                "line": {"width": 1.5, "color": [styles[curve.label].colour for curve, _ in found]},
            },
            "hovertemplate": "step %{x:,.0f}, %{text}",
            "cliponaxis": False,
        }
        seconds = [line.seconds[-1] for _, line in found if line.seconds]
        traces.append((trace, seconds if len(seconds) == len(found) else None))
    return traces


def _y_axis(panel: Panel) -> dict[str, Any]:
    """Choose scale and range: trials that ran away must not flatten the ones that count."""
    every = [value for curve in panel.curves for line in curve.lines for value in line.values]
    counted = [value for curve in panel.curves for value in curve.mean]
    counted += [
        v for c in panel.curves if c.n for line in c.lines if line.state == "finished" for v in line.values
    ]
    low, high = min(counted or every), max(counted or every)
    logarithmic = low > 0 and high > 100 * low
    axis: dict[str, Any] = {"type": "log"} if logarithmic else {}
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    if min(every) < low - margin or max(every) > high + margin:
        edges = [low / 1.2, high * 1.2] if logarithmic else [low - margin, high + margin]
        axis["range"] = [math.log10(edge) for edge in edges] if logarithmic else edges
    return axis


def intervals(rows: Sequence[Row], metric: str, styles: dict[str, Style]) -> Figure | None:
    """Draw mean and interval of each configuration, best on top, its trials beside."""
    shown = [row for row in rows if row.mean is not None][:MOST_INTERVALS]
    if len(shown) < 2:
        return None
    data = []
    for position, row in enumerate(shown):
        style = styles[row.label]
        half = (row.interval.high - row.interval.low) / 2 if row.interval else None
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
        if half is not None:
            centre["error_x"] = {"array": [half], "color": style.colour, "thickness": 2, "width": 5}
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
        "xaxis": {"title": {"text": label(metric_name(metric))}, "zeroline": False},
        "yaxis": {
            "tickvals": list(range(len(shown))),
            "ticktext": [label(row.label, 32) for row in shown],
            "range": [len(shown) - 0.4, -0.6],
            "showgrid": False,
            "zeroline": False,
        },
        "hovermode": "closest",
        "showlegend": False,
    }
    return Figure(data, layout, rows=len(shown))


def _group(curve: Curve) -> str:
    return label(curve.label, 200)


def _rounded(values: Sequence[float], digits: int = 5) -> list[float]:
    """Keep the digits that can be seen: half the size of the file."""
    short = (float(f"{value:.{digits}g}") for value in values)
    return [int(value) if value.is_integer() and abs(value) < 1e9 else value for value in short]


def _transparent(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
