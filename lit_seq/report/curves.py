"""Learning curves: trials of one configuration put on common steps, thinned, averaged."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from lit_seq.report.configurations import Configuration
from lit_seq.report.pace import pace
from lit_seq.report.plan import Statistic
from lit_seq.report.read import Run
from lit_seq.report.statistics import FEWEST, interquartile_mean, mean_interval

POINTS = 24_000
"""Points of a panel: what a page can hold of several."""


@dataclass
class Line:
    """One trial's curve.

    Attributes:
        trial: the trial's name.
        seed: its seed.
        state: its state; only a finished trial's values are in the mean.
        steps: optimiser steps.
        values: the metric, one a step; averaged over neighbouring steps where thinned.
        pace: seconds and tokens a step, where they are known.
    """

    trial: str
    seed: int | None
    state: str
    steps: list[float]
    values: list[float]
    pace: dict[str, float]


@dataclass
class Curve:
    """One configuration's curve.

    Attributes:
        label: the configuration's.
        steps: steps that all trials in the mean have; empty if no trial finished.
        mean: mean over trials, or their interquartile mean; the same trials at every step.
        low: lower edge of the band; None for fewer than two trials.
        high: upper edge.
        pace: mean seconds and tokens a step of the trials in the mean, else of all, where they are known.
        n: number of trials in the mean.
        interpolated: whether the trials' steps differed, so that values lie on straight lines between
            logged ones.
        cut: the step at which the mean ends although some of its trials went on.
        lines: every trial's own curve, finished or not.
    """

    label: str
    steps: list[float] = field(default_factory=list)
    mean: list[float] = field(default_factory=list)
    low: list[float] | None = None
    high: list[float] | None = None
    pace: dict[str, float] = field(default_factory=dict)
    n: int = 0
    interpolated: bool = False
    cut: int | None = None
    lines: list[Line] = field(default_factory=list)


@dataclass
class Panel:
    """The curves of one metric.

    Attributes:
        metric: its name.
        task: what was learnt; None where all learn the same.
        band: what bands show: "range" (lowest to highest trial) or "interval" (95 % t interval of the
            mean, step by step), the same for all configurations.
        statistic: what thick lines are.
        curves: one a configuration that logged the metric.
        bin: the most logged values that one drawn point averages; 1 where nothing was thinned.
    """

    metric: str
    task: str | None
    band: str
    statistic: Statistic
    curves: list[Curve]
    bin: int


def panel(
    metric: str,
    configurations: Sequence[Configuration],
    counted: set[int],
    statistic: Statistic = "mean",
    task: str | None = None,
    most: int = POINTS,
) -> Panel | None:
    """Compute the curves of `metric`.

    Args:
        metric: name of the metric.
        configurations: the configurations to draw.
        counted: `id` of each run that counts in means.
        statistic: what stands for the seeds; with an interquartile mean, bands are ranges.
        task: what the configurations learnt.
        most: points of all curves together, though never fewer than 30 of one.

    Returns:
        None where no trial logged a finite value of the metric.
    """
    drawn = [c for c in configurations if any(len(_finite(run.metrics.get(metric))) for run in c.runs)]
    if not drawn:
        return None
    sizes = [
        n for c in drawn if (n := sum(id(run) in counted and metric in run.metrics for run in c.runs)) > 1
    ]
    band = "interval" if statistic == "mean" and sizes and min(sizes) >= FEWEST else "range"
    lines = sum(len(c.runs) + 3 for c in drawn)
    points = min(200, max(30, most // lines))
    longest = max(len(_finite(run.metrics.get(metric))) for c in drawn for run in c.runs)
    curves = [_curve(metric, configuration, counted, band, points, statistic) for configuration in drawn]
    return Panel(metric, task, band, statistic, curves, max(1, math.ceil(longest / points)))


def _curve(
    metric: str,
    configuration: Configuration,
    counted: set[int],
    band: str,
    points: int,
    statistic: Statistic,
) -> Curve:
    curve = Curve(configuration.label)
    finished: list[tuple[Run, pd.Series]] = []
    for run in configuration.runs:
        series = _finite(run.metrics.get(metric))
        if not len(series):
            continue
        curve.lines.append(_line(run, series, points))
        if id(run) in counted:
            finished.append((run, series))
    curve.pace = _mean_pace([run for run, _ in finished] or configuration.runs)
    if not finished:
        return curve
    steps, values, curve.interpolated = align([series for _, series in finished])
    if not len(steps):
        return curve
    ends = [int(series.index[-1]) for _, series in finished]
    curve.cut = int(steps[-1]) if max(ends) > steps[-1] else None
    curve.n = len(finished)
    thinned = _thin(values, points)
    curve.steps = _thin(steps[:, None], points)[:, 0].tolist()
    curve.mean = (thinned.mean(axis=1) if statistic == "mean" else interquartile_mean(thinned)).tolist()
    if curve.n > 1 and band == "range":
        curve.low, curve.high = thinned.min(axis=1).tolist(), thinned.max(axis=1).tolist()
    elif curve.n > 1:
        intervals = [mean_interval(row) for row in thinned.tolist()]
        curve.low = [interval.low for interval in intervals if interval]
        curve.high = [interval.high for interval in intervals if interval]
    return curve


def align(series: Sequence[pd.Series]) -> tuple[np.ndarray, np.ndarray, bool]:
    """Put series on common steps, so that every mean is over all of them.

    The common steps are those that all series have. Where that leaves less than half of the sparsest
    series (trials that logged at different steps), they are the sparsest series' steps within the
    range that all cover, and the others are interpolated linearly; nothing is extrapolated.

    Args:
        series: finite values by increasing step, at least one value each.

    Returns:
        Steps, (steps,); values, (steps, series); whether values were interpolated.
    """
    shared = series[0].index
    for one in series[1:]:
        shared = shared.intersection(one.index)
    start, end = max(s.index[0] for s in series), min(s.index[-1] for s in series)
    sparsest = min((s.index[(s.index >= start) & (s.index <= end)] for s in series), key=len)
    if 2 * len(shared) >= len(sparsest):
        return shared.to_numpy(), np.column_stack([s.loc[shared].to_numpy() for s in series]), False
    steps = sparsest.to_numpy()
    return steps, np.column_stack([np.interp(steps, s.index, s.to_numpy()) for s in series]), True


def _line(run: Run, series: pd.Series, points: int) -> Line:
    steps, values = series.index.to_numpy(), series.to_numpy()
    return Line(
        trial=run.name,
        seed=run.seed,
        state=run.status.state,
        steps=_thin(steps[:, None], points)[:, 0].tolist(),
        values=_thin(values[:, None], points)[:, 0].tolist(),
        pace=pace(run),
    )


def _thin(rows: np.ndarray, points: int) -> np.ndarray:
    """Average neighbouring rows so that at most `points` are left."""
    if len(rows) <= points:
        return rows.astype(float)
    edges = np.linspace(0, len(rows), points + 1).astype(int)
    sums = np.add.reduceat(rows.astype(float), edges[:-1], axis=0)
    return sums / np.diff(edges)[:, None]


def _mean_pace(runs: Sequence[Run]) -> dict[str, float]:
    """Return the mean pace in the units in which all runs have one."""
    paces = [pace(run) for run in runs]
    return {
        unit: float(np.mean([p[unit] for p in paces])) for unit in paces[0] if all(unit in p for p in paces)
    }


def _finite(series: pd.Series | None) -> pd.Series:
    if series is None:
        return pd.Series(dtype=float)
    return series[np.isfinite(series.to_numpy())]
