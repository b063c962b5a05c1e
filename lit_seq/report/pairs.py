"""Comparison of configurations two by two.

The probability of improvement is P(X better than Y) + P(X = Y)/2 for a trial X of one configuration and Y of
the other: the Mann-Whitney statistic over the number of pairs (Mann & Whitney 1947, Annals of Mathematical
Statistics 18), as Agarwal et al. 2021 use it, averaged over tasks where there are several.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, islice
from typing import NamedTuple

import numpy as np

from lit_seq.report.plan import Goal, Statistic
from lit_seq.report.statistics import (
    FEWEST,
    Difference,
    Interval,
    difference,
    in_pairs,
    percentile_interval,
    resampled_counts,
)
from lit_seq.report.table import Row

ALL_TASKS = "all tasks"
ALL_OF = 6
"""Up to so many configurations, all pairs are compared; of more, the best with each other."""
MOST = 24


@dataclass
class Pair:
    """Two configurations, the one with the better mean first.

    Attributes:
        task: what they learnt; None where all learn the same, "all tasks" for the mean over tasks.
        better: label of the first.
        worse: label of the second.
        n: trials of each side.
        difference: first minus second; None for the mean over tasks.
        probability: that a trial of the first is better than one of the second.
        interval: its 95 % percentile bootstrap interval over seeds, drawn together on both sides where they
            are the same; None where seeds are too few, or every resample says the same.
    """

    task: str | None
    better: str
    worse: str
    n: tuple[int, int]
    difference: Difference | None
    probability: float
    interval: Interval | None


def pairs(rows: Sequence[Row], goal: Goal, statistic: Statistic) -> list[Pair]:
    """Compare the rows of each task two by two, and those that every task has over all tasks.

    Args:
        rows: the table, of one task after the other, best first.
        goal: which way is better.
        statistic: what stands for the seeds.
    """
    generator = np.random.default_rng(0)
    by_task: dict[str | None, list[Row]] = {}
    for row in rows:
        if row.mean is not None:
            by_task.setdefault(row.task, []).append(row)
    found: list[Pair] = []
    chances: dict[tuple[str | None, str, str], _Chance] = {}
    for task, ranked in by_task.items():
        chosen = combinations(ranked, 2) if len(ranked) <= ALL_OF else ((ranked[0], r) for r in ranked[1:])
        for first, second in islice(chosen, MOST):
            chance = _chance(first, second, goal, generator)
            chances[task, first.label, second.label] = chance
            chances[task, second.label, first.label] = chance.other_way()
            found.append(
                Pair(
                    task,
                    first.label,
                    second.label,
                    (first.counted, second.counted),
                    difference(first.by_seed(), second.by_seed(), statistic),
                    chance.probability,
                    chance.interval(),
                )
            )
    if len(by_task) < 2:
        return found
    labels = dict.fromkeys(row.label for ranked in by_task.values() for row in ranked)
    for one, other in combinations(labels, 2):
        of_tasks = [chances[key] for task in by_task if (key := (task, one, other)) in chances]
        if len(of_tasks) == len(by_task):
            found.append(_over_tasks(one, other, of_tasks, rows))
    return found


class _Chance(NamedTuple):
    """A probability of improvement and its bootstrap replicates; None where seeds are too few."""

    probability: float
    replicates: np.ndarray | None

    def other_way(self) -> "_Chance":
        return _Chance(1 - self.probability, None if self.replicates is None else 1 - self.replicates)

    def interval(self) -> Interval | None:
        # Where all of one side are above, or all are equal, no resample says anything else.
        if self.replicates is None or np.ptp(self.replicates) == 0:
            return None
        return percentile_interval(self.replicates)


def _chance(a: Row, b: Row, goal: Goal, generator: np.random.Generator) -> _Chance:
    """Estimate the probability that a trial of `a` is better than one of `b`."""
    left, right, paired = in_pairs(a.by_seed(), b.by_seed())
    if not len(left) == a.counted == b.counted:
        left, right, paired = list(a.scores), list(b.scores), False
    # Rows are trials of b, columns of a; positive where a is better.
    gap = np.subtract.outer(np.array(right), np.array(left)) * (1 if goal == "minimize" else -1)
    wins = (np.sign(gap) + 1) / 2
    if min(len(left), len(right)) < FEWEST:
        return _Chance(float(wins.mean()), None)
    of_left = resampled_counts(len(left), generator)
    of_right = of_left if paired else resampled_counts(len(right), generator)
    replicates = np.einsum("rj,rj->r", of_right @ wins, of_left) / wins.size
    return _Chance(float(wins.mean()), replicates)


def _over_tasks(one: str, other: str, of_tasks: Sequence[_Chance], rows: Sequence[Row]) -> Pair:
    known = [chance.replicates for chance in of_tasks if chance.replicates is not None]
    chance = _Chance(
        float(np.mean([chance.probability for chance in of_tasks])),
        np.mean(known, axis=0) if len(known) == len(of_tasks) else None,
    )
    if chance.probability < 0.5:
        one, other, chance = other, one, chance.other_way()
    n = tuple(sum(row.counted for row in rows if row.label == label) for label in (one, other))
    return Pair(ALL_TASKS, one, other, (n[0], n[1]), None, chance.probability, chance.interval())
