"""Learning curves."""

import math
from typing import Any

from lit_seq.report.curves import Curve, Line, Panel
from lit_seq.report.figures.figure import Figure, label, named, rounded, transparent
from lit_seq.report.plan import Axis
from lit_seq.report.style import COLOURS, Style
from lit_seq.report.wording import metric_name, number

_ENDS = {
    "diverged": ("x", "diverged here"),
    "failed": ("x-thin", "failed here"),
    "stopped": ("square-open", "stopped here"),
    "running": ("triangle-right", "still running"),
    "queued": ("triangle-right-open", "to be continued"),
}


Paced = tuple[dict[str, Any], dict[str, Any]]
"""A trace, and its pace: for each further unit of the x axis, what a step amounts to."""


def learning_curves(panel: Panel, styles: dict[str, Style], x: Axis = "step") -> Figure:
    """Draw a panel: bands and single trials faint, means on top, the crowd grey behind them."""
    order = sorted(panel.curves, key=lambda curve: not styles[curve.label].plain)
    traces: list[Paced] = []
    for curve in order:
        traces += _back(curve, styles[curve.label], singly=len(order) <= len(COLOURS))
    for curve in order:
        traces += _front(curve, styles[curve.label])
    axis = _y_axis(panel)
    ends = _ends(panel, styles, axis)
    traces += ends
    units = [unit for unit in ("seconds", "tokens") if all(unit in pace for _, pace in traces)]
    own = [curve for curve in panel.curves if not styles[curve.label].plain]
    layout: dict[str, Any] = {
        "xaxis": {"title": {"text": "Optimiser steps"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": label(metric_name(panel.metric))}, **axis},
        "hovermode": "closest",
        "showlegend": len(panel.curves) > 1 or bool(ends),
    }
    paces = {unit: [pace[unit] for _, pace in traces] for unit in units}
    alt = f"Curves of {named([curve.label for curve in panel.curves])}: {metric_name(panel.metric)}"
    unit = x if x in units else "step"
    return Figure([trace for trace, _ in traces], layout, alt, paces, unit, len(own))


def _back(curve: Curve, style: Style, singly: bool) -> list[Paced]:
    """Draw the band, and faintly each trial, or only those that are in no mean."""
    traces: list[Paced] = []
    if style.plain:
        return traces
    if curve.low is not None and curve.high is not None:
        band = {
            "type": "scatter",
            "x": rounded(curve.steps + curve.steps[::-1], 9),
            "y": rounded(curve.high + curve.low[::-1]),
            "fill": "toself",
            "fillcolor": transparent(style.colour),
            "line": {"width": 0},
            "mode": "lines",
            "hoverinfo": "skip",
            "showlegend": False,
            "legendgroup": _group(curve),
        }
        traces.append((band, curve.pace))
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
        traces.append((trace, line.pace))
    return traces


def _front(curve: Curve, style: Style) -> list[Paced]:
    """Draw the mean; for a configuration of the crowd without one, its first trial."""
    steps, values = curve.steps, curve.mean
    if not steps:
        if not style.plain:
            # Its trials are drawn already: this entry of the legend stands for them.
            steps, values = [curve.lines[0].steps[0]], [curve.lines[0].values[0]]
        else:
            steps, values = curve.lines[0].steps, curve.lines[0].values
    trace = _line(curve, style, steps, values)
    unfinished = "" if curve.n else " (unfinished)"
    if style.plain:
        trace |= {"line": {"color": style.colour, "width": 1}, "opacity": 0.5, "showlegend": False}
        trace["name"] = label(curve.label + unfinished, 90)
    else:
        sparse = len(steps) <= 30
        trace |= {
            "name": label(curve.label + unfinished, 40, lines=2),
            "mode": "lines+markers" if sparse else "lines",
            "line": {"color": style.colour, "dash": style.dash, "width": 2.5},
        }
        if sparse:
            trace["marker"] = {"symbol": style.marker, "size": 7, "color": style.colour}
    return [(trace, curve.pace)]


def _line(curve: Curve, style: Style, steps: list[float], values: list[float]) -> dict[str, Any]:
    return {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(steps, 9),
        "y": rounded(values),
        "legendgroup": _group(curve),
        "hovertemplate": "%{x:,.0f}: %{y:.4g}",
    }


def _ends(panel: Panel, styles: dict[str, Style], axis: dict[str, Any]) -> list[Paced]:
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
    traces: list[Paced] = []
    for state, found in ends.items():
        trace = {
            "type": "scatter",
            "mode": "markers",
            "name": _ENDS[state][1],
            "x": rounded([line.steps[-1] for _, line in found], 9),
            "y": rounded([min(max(line.values[-1], low), high) for _, line in found]),
            "text": [label(f"{c.label} ({line.trial}): {number(line.values[-1])}", 90) for c, line in found],
            "marker": {
                "symbol": _ENDS[state][0],
                "size": 9,
                "color": [styles[curve.label].colour for curve, _ in found],
                "line": {"width": 1.5, "color": [styles[curve.label].colour for curve, _ in found]},
            },
            "hovertemplate": "%{x:,.0f}, %{text}",
            "cliponaxis": False,
        }
        units = [unit for unit in ("seconds", "tokens") if all(unit in line.pace for _, line in found)]
        traces.append((trace, {unit: [line.pace[unit] for _, line in found] for unit in units}))
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


def _group(curve: Curve) -> str:
    return label(curve.label, 200)
