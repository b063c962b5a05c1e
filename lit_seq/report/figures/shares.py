"""Shares of trials: at the threshold by now, or at least so good."""

from collections.abc import Sequence
from typing import Any

from lit_seq.report.figures.figure import Figure, label, named, rounded, transparent
from lit_seq.report.plan import Goal
from lit_seq.report.profile import Profile
from lit_seq.report.style import Style
from lit_seq.report.updates import Updates

_SHARE = {"tickformat": ".0%", "range": [-0.02, 1.05]}


def updates(found: Sequence[Updates], styles: dict[str, Style]) -> Figure:
    """Draw the share of trials at the threshold against updates, as steps."""
    data = [
        _steps(one.label, styles[one.label], one.steps, one.share, "hv", "update %{x:,.0f}: %{y:.0%}")
        for one in reversed(found)
    ]
    layout = {
        "xaxis": {"title": {"text": "Optimiser steps"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": "Trials at the threshold"}, **_SHARE},
        "hovermode": "closest",
        "showlegend": True,
        "legend": {"traceorder": "reversed"},
    }
    alt = f"Share of trials at the threshold by now, of {named([one.label for one in found])}"
    return Figure(data, layout, alt, rows=sum(not styles[one.label].plain for one in found))


def profiles(
    found: Sequence[Profile], title: str, goal: Goal, styles: dict[str, Style], tasks: int
) -> Figure:
    """Draw the share of trials that are at least so good, from strict to lenient.

    Args:
        found: the profiles.
        title: name of the score.
        goal: which way is better.
        styles: by label.
        tasks: number of tasks; of several, levels are shares of the way from the worst to the best.
    """
    data: list[dict[str, Any]] = []
    for one in reversed(found):
        style = styles[one.label]
        if one.low is not None and one.high is not None and not style.plain:
            data.append(
                {
                    "type": "scatter",
                    "mode": "lines",
                    "x": [*_doubled(one.levels)[:-1], *_doubled(one.levels)[:-1][::-1]],
                    "y": [*_doubled(one.high)[1:], *_doubled(one.low)[1:][::-1]],
                    "fill": "toself",
                    "fillcolor": transparent(style.colour),
                    "line": {"width": 0},
                    "hoverinfo": "skip",
                    "showlegend": False,
                    "legendgroup": label(one.label, 200),
                }
            )
        data.append(_steps(one.label, style, rounded(one.levels), one.share, "vh", "%{x:.4g}: %{y:.0%}"))
    strict_first = tasks > 1 or goal == "maximize"
    axis: dict[str, Any] = {"title": {"text": label(title if tasks == 1 else f"{title}, 0 worst to 1 best")}}
    # A level is stricter the farther left it stands.
    axis |= {"autorange": "reversed"} if strict_first else {}
    layout = {
        "xaxis": axis,
        "yaxis": {"title": {"text": "Trials at least so good"}, **_SHARE},
        "hovermode": "closest",
        "showlegend": len(found) > 1,
        "legend": {"traceorder": "reversed"},
    }
    alt = f"Share of trials at least so good: {title} of {named([one.label for one in found])}"
    return Figure(data, layout, alt, rows=sum(not styles[one.label].plain for one in found))


def _steps(
    name: str, style: Style, x: Sequence[float], y: Sequence[float], shape: str, hover: str
) -> dict[str, Any]:
    trace = {
        "type": "scatter",
        "mode": "lines",
        "name": label(name, 40, lines=2),
        "legendgroup": label(name, 200),
        "x": list(x),
        "y": rounded(y),
        "hovertemplate": hover,
        "line": {
            "shape": shape,
            "color": style.colour,
            "dash": style.dash,
            "width": 1 if style.plain else 2.5,
        },
    }
    return trace | {"showlegend": False} if style.plain else trace


def _doubled(values: Sequence[float]) -> list[float]:
    """Return each value twice: the corners of steps."""
    return [value for value in rounded(values) for _ in range(2)]
