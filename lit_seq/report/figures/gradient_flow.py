"""Norms along time, a chart above the other for each moment of training."""

from collections.abc import Sequence
from typing import Any, get_args

from lit_seq.report.figures.figure import Figure, label, named, transparent
from lit_seq.report.gradient_flow import Flow, FlowLine, Moment, Quantity
from lit_seq.report.style import Style
from lit_seq.report.wording import count

_AXES: dict[Quantity, tuple[str, str]] = {
    "gradient": ("t", "‖∂E/∂h<sub>t</sub>‖"),
    "jacobian": ("T − t", "‖∂h<sub>T</sub>/∂h<sub>t</sub>‖"),
    "contribution": ("ℓ", "‖C<sub>ℓ</sub>‖"),
}
_SAID: dict[Quantity, str] = {
    "gradient": "Norms of the loss's gradient by the state after each step",
    "jacobian": "Norms of the last state's derivative by each earlier state",
    "contribution": "Norms of what steps some way apart contribute to the gradient of the parameters",
}
_WHEN = {"start": "the first look", "middle": "the look half-way", "end": "the last look"}


def gradient_flow(flow: Flow, styles: dict[str, Style]) -> Figure:
    """Draw a flow on a logarithmic axis, the same at all moments, with bands from lowest to highest trial."""
    moments = [moment for moment in get_args(Moment) if any(line.moment == moment for line in flow.lines)]
    x_title, y_title = _AXES[flow.quantity]
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"annotations": [], "hovermode": "closest", "showlegend": True}
    for row, moment in enumerate(moments):
        number = str(row + 1) if row else ""
        top, bottom = (1 - edge / len(moments) for edge in (row, row + 1))
        layout[f"yaxis{number}"] = {
            "title": {"text": y_title},
            # Above each chart there is room for its heading.
            "domain": [bottom + 0.05 / len(moments), top - 0.14 / len(moments)],
            "tickprefix": "10<sup>",
            "ticksuffix": "</sup>",
            "zeroline": False,
            **({"matches": "y"} if row else {}),
        }
        own = [line for line in flow.lines if line.moment == moment]
        layout["annotations"].append(_heading(own, top))
        for line in sorted(own, key=lambda line: not styles[line.label].plain):
            data += _traces(line, styles[line.label], f"y{number}", legend=row == 0)
    layout["xaxis"] = {"title": {"text": x_title}, "anchor": f"y{number}", "zeroline": False}
    labels = list(dict.fromkeys(line.label for line in flow.lines))
    alt = f"{_SAID[flow.quantity]}, of {named(labels)}"
    return Figure(data, layout, alt, rows=len(labels), panels=len(moments))


def _heading(lines: Sequence[FlowLine], top: float) -> dict[str, Any]:
    steps = {line.step for line in lines}
    when = f"after {count(steps.pop(), 'update')}" if len(steps) == 1 else f"at {_WHEN[lines[0].moment]}"
    place = {"x": 0, "xref": "paper", "xanchor": "left", "y": top, "yref": "paper", "yanchor": "top"}
    return {**place, "text": when.capitalize(), "showarrow": False, "font": {"size": 12}}


def _traces(line: FlowLine, style: Style, axis: str, legend: bool) -> list[dict[str, Any]]:
    group = label(line.label, 200)
    mean = {
        "type": "scatter",
        "mode": "lines",
        "name": label(line.label, 40, lines=2),
        "x": line.x,
        "y": line.mean,
        "yaxis": axis,
        "legendgroup": group,
        "showlegend": legend and not style.plain,
        "line": {"color": style.colour, "dash": style.dash, "width": 1 if style.plain else 2.5},
        "hovertemplate": f"update {line.step:,}, %{{x}}: 10<sup>%{{y:.2f}}</sup>",
    }
    if style.plain or line.trials < 2:
        return [mean]
    there = [
        (x, low, high)
        for x, low, high in zip(line.x, line.low, line.high, strict=True)
        if low is not None and high is not None
    ]
    band = {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _, _ in there + there[::-1]],
        "y": [high for _, _, high in there] + [low for _, low, _ in there[::-1]],
        "yaxis": axis,
        "fill": "toself",
        "fillcolor": transparent(style.colour),
        "line": {"width": 0},
        "hoverinfo": "skip",
        "showlegend": False,
        "legendgroup": group,
    }
    return [band, mean]
