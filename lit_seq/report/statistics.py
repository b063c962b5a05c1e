"""Intervals over seeds.

Student's t interval of a mean is exact for independent normal values, n ≥ 2 (Student 1908, "The
probable error of a mean", Biometrika 6; any textbook): mean ± t_{n-1, (1+level)/2} · s/√n, with s the
sample standard deviation (divisor n - 1).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

LEVEL = 0.95


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


@dataclass(frozen=True)
class Difference:
    """Mean of one configuration minus that of another.

    Attributes:
        mean: the difference; over the common seeds if `paired`.
        interval: its confidence interval; None where the seeds are too few.
        paired: whether values of the same seed were subtracted.
        n: number of common seeds if `paired`, else the smaller number of values.
    """

    mean: float
    interval: Interval | None
    paired: bool
    n: int

    @property
    def told_apart(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and not self.interval.low <= 0 <= self.interval.high


def mean(values: Sequence[float]) -> float:
    """Return the mean, correctly rounded."""
    return math.fsum(values) / len(values)


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return Student's t interval of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy import stats

    centre = mean(values)
    error = math.sqrt(math.fsum((v - centre) ** 2 for v in values) / (len(values) - 1) / len(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return Interval(centre - half, centre + half)


def difference(
    a: Mapping[int, float] | Sequence[float], b: Mapping[int, float] | Sequence[float], level: float = LEVEL
) -> Difference:
    """Compare two configurations, `a` minus `b`.

    With two or more common seeds: Student's t interval of the mean of the differences by seed. Else,
    with two or more values on each side: Welch's interval (Welch 1947, Biometrika 34), which does not
    assume equal variances. Else no interval.

    Args:
        a: value by seed, or values whose seeds are not known; not empty.
        b: the same for the other side.
        level: confidence level.
    """
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        common = [seed for seed in a if seed in b]
        if len(common) >= 2:
            pairs = [a[seed] - b[seed] for seed in common]
            return Difference(mean(pairs), mean_interval(pairs, level), paired=True, n=len(pairs))
    left, right = (list(x.values()) if isinstance(x, Mapping) else list(x) for x in (a, b))
    return Difference(
        mean(left) - mean(right), _welch(left, right, level), paired=False, n=min(len(left), len(right))
    )


def _welch(a: list[float], b: list[float], level: float) -> Interval | None:
    if min(len(a), len(b)) < 2:
        return None
    from scipy import stats

    if len(set(a)) == len(set(b)) == 1:
        return Interval(mean(a) - mean(b), mean(a) - mean(b))
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(level)
    return Interval(float(interval.low), float(interval.high))
