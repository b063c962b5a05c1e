"""Performance profiles: which share of the trials is at least so good, for every level of good.

The run-score distribution of Agarwal et al. 2021, F(τ) = 1/M Σ_m 1/N Σ_n [score_mn ≥ τ], over tasks m and
trials n, with a band by the percentile bootstrap of trials within tasks. One profile above another everywhere
is better whatever the statistic.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lit_seq.report.configurations import Configuration
from lit_seq.report.plan import Goal
from lit_seq.report.score import Score
from lit_seq.report.statistics import FEWEST, LEVEL, resampled_counts
from lit_seq.report.table import Row

POINTS = 60
MOST = 12
"""Profiles that can be told apart."""


@dataclass
class Profile:
    """One configuration's profile.

    Attributes:
        label: the configuration.
        trials: number of its trials, diverged ones included: they are never good enough.
        levels: scores; where there are several tasks, 0 is the worst and 1 the best of each.
        share: share of trials that are at least so good.
        low: lower edge of the 95 % band at each level; None where a task has too few trials.
        high: upper edge.
    """

    label: str
    trials: int
    levels: list[float]
    share: list[float]
    low: list[float] | None = None
    high: list[float] | None = None


def profiles(
    entries: Sequence[tuple[Configuration, Row]],
    scores: Mapping[int, Score],
    counted: set[int],
    goal: Goal,
) -> list[Profile]:
    """Return the profiles of the best configurations that every task has a counted trial of, best first.

    Args:
        entries: configurations with their rows, of one task after the other.
        scores: by `id` of the run.
        counted: `id` of each run that counts in means; besides these, diverged ones are in the shares.
        goal: which way is better.
    """
    tasks = list(dict.fromkeys(row.task for _, row in entries))
    sign = 1.0 if goal == "maximize" else -1.0
    found: dict[str, list[np.ndarray]] = {}
    for task in tasks:
        own = [(c, row) for c, row in entries if row.task == task and row.mean is not None]
        if not own:
            return []
        reached = [sign * score for _, row in own for score in row.scores]
        low, width = min(reached), (max(reached) - min(reached)) or 1.0
        for configuration, row in own:
            values = [
                sign * scores[id(run)].value if id(run) in counted else -np.inf
                for run in configuration.runs
                if id(run) in counted or run.status.state == "diverged"
            ]
            scaled = (np.array(values) - low) / width if len(tasks) > 1 else np.array(values)
            found.setdefault(row.label, []).append(scaled)
    labels = [label for label, of_tasks in found.items() if len(of_tasks) == len(tasks)][:MOST]
    if not labels:
        return []
    shared = {label: found[label] for label in labels}
    everything = np.concatenate([one for of_tasks in shared.values() for one in of_tasks])
    finite = np.unique(everything[np.isfinite(everything)])
    levels = finite if len(finite) <= POINTS else np.linspace(finite[0], finite[-1], POINTS)
    profiles = [_profile(label, of_tasks, levels) for label, of_tasks in shared.items()]
    for one in profiles:
        # Told in the metric's own values, the best last.
        one.levels = (levels if len(tasks) > 1 else sign * levels).tolist()
    return profiles


def _profile(label: str, of_tasks: list[np.ndarray], levels: np.ndarray) -> Profile:
    good = [(values[:, None] >= levels).astype(float) for values in of_tasks]
    profile = Profile(
        label,
        sum(map(len, of_tasks)),
        [],
        np.mean([one.mean(axis=0) for one in good], axis=0).tolist(),
    )
    if min(map(len, good)) >= FEWEST:
        generator = np.random.default_rng(0)
        replicates = np.mean([resampled_counts(len(one), generator) @ one / len(one) for one in good], axis=0)
        low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        profile.low, profile.high = low.tolist(), high.tolist()
    return profile
