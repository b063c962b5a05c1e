"""Two settings against each other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.report.configurations import Configuration, identity
from lit_seq.report.plan import Goal, Statistic
from lit_seq.report.score import Score
from lit_seq.report.statistics import centre
from lit_seq.report.table import is_number

MOST_VALUES = 30
"""Values of a setting that a grid can show; of a random search there are more."""


@dataclass
class Square:
    """What came of two values together.

    Attributes:
        value: mean, or interquartile mean, of the trials that count, at the best of the other settings.
        counted: how many count.
        trials: how many there are.
        tried: number of other settings tried there.
        states: number of its trials in each state.
    """

    value: float | None
    counted: int
    trials: int
    tried: int
    states: dict[str, int]


@dataclass
class HeatMap:
    """A grid of two settings.

    Attributes:
        task: what was learnt; None where all learn the same.
        x: the key from left to right.
        y: the key from bottom to top.
        columns: values of `x`, numbers rising.
        rows: values of `y`.
        squares: a row for each of `rows`; None where nothing was run.
    """

    task: str | None
    x: str
    y: str
    columns: list[Any]
    rows: list[Any]
    squares: list[list[Square | None]]


def heat_map(
    configurations: Sequence[Configuration],
    keys: Sequence[str],
    scores: Mapping[int, Score],
    counted: set[int],
    goal: Goal,
    statistic: Statistic,
    task: str | None = None,
) -> HeatMap | None:
    """Put configurations on a grid of two of `keys`, the first two that have several values.

    Returns:
        None where there are no such two, or they have too many values for a grid.
    """
    values = {key: ordered([c.values[key] for c in configurations if key in c.values]) for key in keys}
    axes = [key for key in values if 1 < len(values[key]) <= MOST_VALUES]
    if len(axes) < 2:
        return None
    # The longer side lies: there is more room for it.
    x, y = sorted(axes[:2], key=lambda key: -len(values[key]))
    better = min if goal == "minimize" else max

    def square(row: Any, column: Any) -> Square | None:
        here = [
            c
            for c in configurations
            if identity(c.values.get(x)) == identity(column) and identity(c.values.get(y)) == identity(row)
        ]
        if not here:
            return None
        told = [
            (centre(own, statistic), len(own))
            for c in here
            if (own := [scores[id(run)].value for run in c.runs if id(run) in counted])
        ]
        value, number = better(told, default=(None, 0))
        states: dict[str, int] = {}
        for run in (run for c in here for run in c.runs):
            states[run.status.state] = states.get(run.status.state, 0) + 1
        return Square(value, number, sum(states.values()), len(here), states)

    return HeatMap(task, x, y, values[x], values[y], [[square(r, c) for c in values[x]] for r in values[y]])


def ordered(values: Sequence[Any]) -> list[Any]:
    """Return the different values: numbers by size, then the others as they came."""
    different = list({identity(value): value for value in values}.values())
    numbers = sorted(value for value in different if is_number(value))
    return [*numbers, *(value for value in different if not is_number(value))]
