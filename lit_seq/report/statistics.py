"""Intervals over seeds.

Student's t interval of a mean is exact for independent normal values, n ≥ 2 (Student 1908, "The
probable error of a mean", Biometrika 6; any textbook): mean ± t_{n-1, (1+level)/2} · s/√n, with s the
sample standard deviation (divisor n - 1).

The percentile bootstrap (Efron 1979, Annals of Statistics 7) assumes no law, but is too narrow for few
values: for the mean of n normal values, 95 % intervals cover it in 75 % of cases with n = 3, 84 % with 5,
90 % with 10 and 93 % with 20 (4,000 simulated samples each).

The interquartile mean drops the lowest and the highest ⌊n/4⌋ values (Agarwal et al. 2021, "Deep
reinforcement learning at the edge of the statistical precipice").
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

from lit_seq.report.plan import Statistic

LEVEL = 0.95
FEWEST = 5
"""Values from which on they are resampled."""
RESAMPLES = 9999


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


Method = Literal["bootstrap", "t"]


@dataclass(frozen=True)
class Estimate:
    """What stands for some values.

    Attributes:
        value: their mean or interquartile mean.
        interval: its 95 % interval; None where they are too few.
        method: how the interval was made; None where there is none.
    """

    value: float
    interval: Interval | None
    method: Method | None


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


def interquartile_mean(values: Any, axis: int = -1) -> Any:
    """Return the mean without the lowest and the highest quarter, each rounded down to whole values."""
    ordered = np.sort(np.asarray(values, dtype=float), axis=axis)
    n = ordered.shape[axis]
    return np.take(ordered, range(n // 4, n - n // 4), axis=axis).mean(axis=axis)


def centre(values: Sequence[float], statistic: Statistic = "mean") -> float:
    """Return what stands for `values`, at least one."""
    return mean(values) if statistic == "mean" else float(interquartile_mean(values))


def estimate(values: Sequence[float], statistic: Statistic = "mean") -> Estimate:
    """Return what stands for `values`, at least one, with its 95 % interval.

    From `FEWEST` values on the interval is that of the percentile bootstrap, as
    `scipy.stats.bootstrap((values,), statistic, method="percentile", rng=0)` gives it. Of fewer the mean has
    Student's interval, the interquartile mean none.
    """
    value = centre(values, statistic)
    if len(values) >= FEWEST:
        return Estimate(value, _bootstrap([values], statistic), "bootstrap")
    interval = mean_interval(values) if statistic == "mean" else None
    return Estimate(value, interval, interval and "t")


def mean_interval(values: Sequence[float], level: float = LEVEL) -> Interval | None:
    """Return Student's t interval of the mean; None for fewer than two values."""
    if len(values) < 2:
        return None
    from scipy import stats

    middle = mean(values)
    error = math.sqrt(math.fsum((v - middle) ** 2 for v in values) / (len(values) - 1) / len(values))
    half = float(stats.t.ppf((1 + level) / 2, len(values) - 1)) * error
    return Interval(middle - half, middle + half)


def difference(
    a: Mapping[int, float] | Sequence[float],
    b: Mapping[int, float] | Sequence[float],
    statistic: Statistic = "mean",
) -> Difference:
    """Compare two configurations, `a` minus `b`.

    Of means: with two or more common seeds, Student's t interval of the mean of the differences by seed;
    else, with two or more values on each side, Welch's interval (Welch 1947, Biometrika 34), which does not
    assume equal variances. Both keep their 5 % of false alarms with few seeds, which resampling does not.
    Of interquartile means: the percentile bootstrap, of pairs where seeds are common, from `FEWEST` on.

    Args:
        a: value by seed, or values whose seeds are not known; not empty.
        b: the same for the other side.
        statistic: what stands for each side.
    """
    left, right, paired = in_pairs(a, b)
    n = min(len(left), len(right))
    gap = centre(left, statistic) - centre(right, statistic)
    interval: Interval | None
    if statistic == "iqm":
        interval = _bootstrap([left, right], statistic, paired) if n >= FEWEST else None
    elif paired:
        differences = [x - y for x, y in zip(left, right, strict=True)]
        gap, interval = mean(differences), mean_interval(differences)
    else:
        interval = _welch(left, right)
    return Difference(gap, interval, paired, n)


def in_pairs(
    a: Mapping[int, float] | Sequence[float], b: Mapping[int, float] | Sequence[float]
) -> tuple[list[float], list[float], bool]:
    """Return the values of both sides by common seed, if there are two at least, else all; and whether so."""
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        common = [seed for seed in a if seed in b]
        if len(common) >= 2:
            return [a[seed] for seed in common], [b[seed] for seed in common], True
    left, right = (list(x.values()) if isinstance(x, Mapping) else list(x) for x in (a, b))
    return left, right, False


def resampled_counts(n: int, generator: np.random.Generator) -> np.ndarray:
    """Return how often each of `n` values is in each resample, (RESAMPLES, n)."""
    return generator.multinomial(n, np.full(n, 1 / n), size=RESAMPLES).astype(float)


def percentile_interval(replicates: np.ndarray) -> Interval:
    """Return the interval that leaves out (1 - LEVEL)/2 of the finite replicates at each end."""
    low, high = np.quantile(replicates, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(low), float(high))


def _bootstrap(sides: list[Sequence[float]], statistic: Statistic, paired: bool = False) -> Interval:
    from scipy import stats

    one = np.mean if statistic == "mean" else interquartile_mean

    def of_sides(*samples: Any, axis: int = -1) -> Any:
        values = [one(sample, axis=axis) for sample in samples]
        return values[0] if len(values) == 1 else values[0] - values[1]

    interval = stats.bootstrap(
        sides,
        of_sides,
        n_resamples=RESAMPLES,
        vectorized=True,
        paired=paired,
        confidence_level=LEVEL,
        method="percentile",
        rng=0,
    ).confidence_interval
    return Interval(float(interval.low), float(interval.high))


def _welch(a: list[float], b: list[float]) -> Interval | None:
    if min(len(a), len(b)) < 2:
        return None
    from scipy import stats

    if len(set(a)) == len(set(b)) == 1:
        return Interval(mean(a) - mean(b), mean(a) - mean(b))
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(LEVEL)
    return Interval(float(interval.low), float(interval.high))
