"""The number that a trial is judged by."""

import math
import re
from dataclasses import dataclass

import pandas as pd

from lit_seq.report.plan import Goal


@dataclass(frozen=True)
class Score:
    """What a metric came to in one trial.

    Attributes:
        best: the best finite value over training.
        best_step: the step at which it was first reached.
        final: the last logged value, NaN and infinities included.
        not_finite: how many logged values were NaN or infinite.
    """

    best: float
    best_step: int
    final: float
    not_finite: int


def score(series: pd.Series | None, goal: Goal) -> Score | None:
    """Judge a trial by `series`, the metric by step; None where it has no finite value."""
    if series is None:
        return None
    finite = series[[math.isfinite(value) for value in series]]
    if not len(finite):
        return None
    at = finite.idxmin() if goal == "minimize" else finite.idxmax()
    return Score(float(finite[at]), int(at), float(series.iloc[-1]), len(series) - len(finite))


def likely_goal(metric: str) -> Goal:
    """Guess the goal where nobody said it: errors and losses go down, shares of right answers up."""
    return (
        "maximize" if re.search(r"acc|f1|auc|bleu|r2|precision|recall|correct|reward", metric) else "minimize"
    )


def likely_metric(names: list[str]) -> str:
    """Guess the metric where nobody said it: the validation loss, else what comes nearest to it."""

    def distance(name: str) -> tuple[bool, bool]:
        return not name.startswith("val/"), not name.endswith("loss")

    return min(names, key=distance)
