"""The number that a trial is judged by."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from lit_seq.report.plan import Goal, JudgedBy
from lit_seq.report.read import Run
from lit_seq.report.wording import metric_name, number, without_capital


@dataclass(frozen=True)
class Score:
    """What a metric came to in one trial.

    Attributes:
        value: what the trial is judged by.
        best: the best finite value over training; NaN where there is none.
        best_step: the step at which it was first reached.
        final: the last logged value, NaN and infinities included.
        not_finite: how many logged values were NaN or infinite.
    """

    value: float
    best: float
    best_step: int
    final: float
    not_finite: int


@dataclass(frozen=True)
class Judge:
    """How trials are judged.

    Attributes:
        metric: the metric that decides.
        goal: which of its ends is better.
        by: which number of it: see `lit_seq.report.plan.Plan.judge_by`.
        threshold: value of the metric that is good enough; None where nobody said.
        horizon: updates that every trial was given; a trial that needs more is not followed further.
    """

    metric: str
    goal: Goal
    by: JudgedBy = "best"
    threshold: float | None = None
    horizon: int | None = None

    @property
    def direction(self) -> Goal:
        """Which end of the scores is better."""
        return "minimize" if self.by == "updates" else self.goal

    @property
    def title(self) -> str:
        """The score's name, for an axis."""
        name = metric_name(self.metric)
        if self.by == "updates":
            return f"Updates until {without_capital(self.aim)}"
        return f"{name} at the end" if self.by == "last" else name

    @property
    def words(self) -> str:
        """The score's name in the middle of a sentence."""
        return without_capital(self.title)

    @property
    def aim(self) -> str:
        """The threshold in words."""
        side = "≤" if self.goal == "minimize" else "≥"
        return f"{metric_name(self.metric)} {side} {number(self.threshold, 3)}"

    def score(self, run: Run) -> Score | None:
        """Judge a trial; None where it never logged a number, unless it is to count as never there.

        Judged by updates, a trial that diverged has needed them all: it will never come to the threshold.
        """
        series = run.metrics.get(self.metric)
        finite = None if series is None else series[[math.isfinite(value) for value in series]]
        if series is None or finite is None or not len(finite):
            if self.by == "updates" and run.status.state == "diverged" and self.horizon is not None:
                return Score(self.horizon, math.nan, 0, math.nan, 0 if series is None else len(series))
            return None
        at = finite.idxmin() if self.goal == "minimize" else finite.idxmax()
        best, final = float(finite[at]), float(series.iloc[-1])
        # A last value that is no number would make a mean none.
        value = {"best": best, "last": float(finite.iloc[-1])}.get(self.by)
        if value is None:
            reached, horizon = self.reached(finite), self.horizon or int(finite.index[-1])
            value = float(horizon if reached is None else min(reached, horizon))
        return Score(value, best, int(at), final, len(series) - len(finite))

    def reached(self, series: pd.Series) -> int | None:
        """Return the first step at which `series` is as good as the threshold."""
        assert self.threshold is not None
        there = series <= self.threshold if self.goal == "minimize" else series >= self.threshold
        return int(series.index[there.to_numpy()][0]) if there.any() else None

    def counts(self, run: Run) -> bool:
        """Whether the run, if it has a score, is in its configuration's mean."""
        return run.status.state == "finished" or (self.by == "updates" and run.status.state == "diverged")


def horizon(runs: Sequence[Run], metric: str) -> int | None:
    """Return the updates that every finished trial was given."""
    ends = [
        int(series.index[-1])
        for run in runs
        if run.status.state == "finished" and (series := run.metrics.get(metric)) is not None and len(series)
    ]
    return min(ends, default=None)


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
