"""Every trial as a line through its settings."""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from lit_seq.report.configurations import identity, short_names, show
from lit_seq.report.coordinates import Coordinates, Traced
from lit_seq.report.figures.figure import Figure, label
from lit_seq.report.heat_map import ordered
from lit_seq.report.plan import Goal
from lit_seq.report.style import GREY, SCALE
from lit_seq.report.table import is_number
from lit_seq.report.wording import listing, number

_SHADES = 8
_MOST_TICKS = 7


class _Scale:
    """Puts the values of one axis between 0 and 1.

    Numbers by size, by their order of magnitude where they span more than one; other values side by side.
    """

    def __init__(self, values: Sequence[Any]) -> None:
        self.values = ordered(values)
        self.numeric = all(is_number(value) for value in self.values)
        positive = self.numeric and min(self.values) > 0
        self.logarithmic = positive and max(self.values) >= 10 * min(self.values)
        places = [self._place(value) for value in self.values]
        self._low, self._span = min(places), (max(places) - min(places)) or 1.0

    def __call__(self, value: Any) -> float:
        return (self._place(value) - self._low) / self._span

    def ticks(self) -> list[Any]:
        """Return the values to write beside the axis."""
        if len(self.values) <= _MOST_TICKS:
            return self.values
        if self.numeric:
            # The ends, and those that are nearest to the inner parts of the axis.
            marks = [step / (_MOST_TICKS - 1) for step in range(_MOST_TICKS)]
            return ordered([min(self.values, key=lambda v: abs(self(v) - mark)) for mark in marks])
        return self.values[:: -(-len(self.values) // _MOST_TICKS)]

    def _place(self, value: Any) -> float:
        if not self.numeric:
            return float([identity(one) for one in self.values].index(identity(value)))
        return math.log10(value) if self.logarithmic else float(value)


def parallel_coordinates(traced: Coordinates, title: str, goal: Goal) -> Figure:
    """Draw a line for each trial, the brighter the better, the best on top; dotted where none counts.

    Args:
        traced: the trials.
        title: name of the score.
        goal: which way is better.
    """
    missing = "–"
    scales = [_Scale([trial.values.get(key, missing) for trial in traced.trials]) for key in traced.keys]
    counted = [trial for trial in traced.trials if trial.score is not None]
    end = _Scale([trial.score for trial in counted])
    counted.sort(key=lambda trial: trial.score or 0.0, reverse=goal == "minimize")
    lost = [trial for trial in traced.trials if trial.score is None]
    shades: dict[int, list[Traced]] = {}
    worse = [trial.score for trial in counted]
    for trial in counted:
        # Equal scores have equal shades: each that of its worst place.
        shades.setdefault(worse.index(trial.score) * _SHADES // len(counted), []).append(trial)

    def line(trials: list[Traced], colour: str, **style: Any) -> dict[str, Any]:
        x: list[float | None] = []
        y: list[float | None] = []
        text: list[str] = []
        for trial in trials:
            places = [
                scale(trial.values.get(key, missing)) for scale, key in zip(scales, traced.keys, strict=True)
            ]
            places += [] if trial.score is None else [end(trial.score)]
            x += [*range(len(places)), None]
            y += [*(round(place, 4) for place in places), None]
            text += [
                label(f"{trial.trial}: {trial.state if trial.score is None else number(trial.score)}", 90)
            ] * (len(places) + 1)
        return {
            "type": "scatter",
            "mode": "lines",
            "x": x,
            "y": y,
            "text": text,
            "hovertemplate": "%{text}<extra></extra>",
            "line": {"color": colour, "width": 1.5, **style},
            "showlegend": False,
        }

    data = [line(lost, GREY, dash="dot", width=1)] if lost else []
    data += [
        line(trials, _colour(shade), width=1 + 1.5 * shade / _SHADES) for shade, trials in shades.items()
    ]
    short = short_names(traced.keys)
    names = [label(short[key], 24) for key in traced.keys] + [label(title, 40)]
    annotations = [
        {
            "x": axis,
            "y": scale(value),
            "text": label(show(value) if axis < len(scales) else number(value, 3), 18),
            "showarrow": False,
            "xanchor": "right" if axis == len(scales) else "left",
            "xshift": -4 if axis == len(scales) else 4,
            "font": {"size": 11},
            "opacity": 0.85,
        }
        for axis, scale in enumerate([*scales, end])
        for value in scale.ticks()
    ]
    layout = {
        "xaxis": {
            "tickvals": list(range(len(names))),
            "ticktext": names,
            "range": [-0.3, len(names) - 0.7],
            "zeroline": False,
        },
        "yaxis": {"visible": False, "range": [-0.06, 1.06]},
        "annotations": annotations,
        "hovermode": "closest",
        "showlegend": False,
    }
    alt = f"A line for each trial through {listing([short[key] for key in traced.keys])} to its {title}"
    return Figure(data, layout, alt)


def _colour(shade: int) -> str:
    """Return a colour of the scale, from its dark end, leaving out what vanishes on a white or dark page."""
    place = 0.25 + 0.6 * shade / max(1, _SHADES - 1)
    for (left, dark), (right, bright) in pairwise(SCALE):
        if left <= place <= right:
            part = (place - left) / (right - left)
            mixed = [
                round(int(dark[i : i + 2], 16) * (1 - part) + int(bright[i : i + 2], 16) * part)
                for i in (1, 3, 5)
            ]
            return f"rgb({mixed[0]},{mixed[1]},{mixed[2]})"
    raise AssertionError(place)
