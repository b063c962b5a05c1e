"""Updates until a threshold, with trials that did not come to it as censored observations.

S(t), the share of trials that need more than t updates, is Kaplan and Meier's estimate (1958, Journal of the
American Statistical Association 53, eq. 2b): S(t) = Π_{t_i ≤ t} (1 - d_i/n_i), with d_i trials that come to
the threshold at t_i of n_i still followed there. The restricted mean ∫_0^τ S(t) dt is the mean number of
updates of which none counts beyond τ (Royston & Parmar 2013, BMC Medical Research Methodology 13:152).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lit_seq.report.configurations import Configuration
from lit_seq.report.read import Run
from lit_seq.report.score import Judge
from lit_seq.report.statistics import FEWEST, Interval, percentile_interval, resampled_counts


@dataclass
class Updates:
    """How long the trials of a configuration need.

    Attributes:
        label: the configuration.
        task: what it learnt; None where all learn the same.
        trials: number of trials that were followed.
        reached: how many came to the threshold.
        diverged: how many did not and never will, as they diverged.
        unfinished: how many were followed less far than the horizon without coming to it: stopped early,
            failed or still running.
        median: the first step at which half of the trials are there; None where that was not seen.
        horizon: how far the restricted mean looks: as far as every configuration of the task was followed.
        mean: the restricted mean.
        interval: its 95 % percentile bootstrap interval over trials; None where they are too few or alike.
        steps: where the share changes, from 0 on.
        share: share of trials that are there at these steps.
    """

    label: str
    task: str | None
    trials: int
    reached: int
    diverged: int
    unfinished: int
    median: int | None
    horizon: int
    mean: float
    interval: Interval | None
    steps: list[int]
    share: list[float]


@dataclass
class _Followed:
    """One trial: the step at which it came to the threshold, else until which it was followed."""

    step: int
    reached: bool
    end: int
    state: str


def updates(configurations: Sequence[Configuration], judge: Judge, task: str | None) -> list[Updates]:
    """Estimate how long the trials of each configuration need, quickest first.

    A trial that diverged will never come to the threshold: it counts as followed to the end.
    """
    everybody = {
        c.label: [one for run in c.runs if (one := _followed(run, judge)) is not None] for c in configurations
    }
    followed = {label: observed for label, observed in everybody.items() if observed}
    if not followed:
        return []
    longest = max(one.end for observed in followed.values() for one in observed)
    for observed in followed.values():
        for one in observed:
            if one.state == "diverged" and not one.reached:
                one.step = longest
    horizon = min(longest, *(_seen_until(observed) for observed in followed.values()))
    found = [_estimate(label, task, observed, horizon) for label, observed in followed.items()]
    return sorted(found, key=lambda one: one.mean)


def survival(steps: np.ndarray, reached: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Kaplan and Meier's estimate.

    Args:
        steps: to the threshold, or as far as a trial was followed, (trials,).
        reached: whether it came to the threshold, (trials,).
        weights: how often each trial counts, (resamples, trials).

    Returns:
        The steps at which trials came to the threshold, rising, (events,), and S behind each, (resamples,
        events).
    """
    events = np.unique(steps[reached])
    at_risk = weights @ (steps[:, None] >= events)
    there = weights @ ((steps[:, None] == events) & reached[:, None])
    hazards = np.divide(there, at_risk, out=np.zeros_like(there), where=at_risk > 0)
    return events, np.cumprod(1 - hazards, axis=1)


def restricted_mean(events: np.ndarray, shares: np.ndarray, horizon: float) -> np.ndarray:
    """Return ∫_0^horizon S(t) dt, (resamples,), of what `survival` returns."""
    edges = np.concatenate([[0.0], np.minimum(events, horizon), [horizon]])
    heights = np.concatenate([np.ones((len(shares), 1)), shares], axis=1)
    return heights @ np.diff(edges)


def _followed(run: Run, judge: Judge) -> _Followed | None:
    """Return how far a trial was followed; None where it logged nothing and may yet come there."""
    series, state = run.metrics.get(judge.metric), run.status.state
    if series is None or not len(series):
        return _Followed(0, False, 0, state) if state == "diverged" else None
    at, end = judge.reached(series), int(series.index[-1])
    return _Followed(end if at is None else at, at is not None, end, state)


def _seen_until(observed: Sequence[_Followed]) -> float:
    """Return where Kaplan and Meier's estimate ends: nowhere if the last trial came to the threshold."""
    last = max(observed, key=lambda one: (one.step, not one.reached))
    return math.inf if last.reached else last.step


def _estimate(label: str, task: str | None, observed: Sequence[_Followed], horizon: float) -> Updates:
    steps = np.array([one.step for one in observed], dtype=float)
    reached = np.array([one.reached for one in observed])
    lost = [one.state for one in observed if not one.reached]
    events, [share] = survival(steps, reached, np.ones((1, len(steps))))
    half = events[share <= 0.5]
    return Updates(
        label=label,
        task=task,
        trials=len(observed),
        reached=int(reached.sum()),
        diverged=lost.count("diverged"),
        unfinished=sum(state not in ("finished", "diverged") for state in lost),
        median=int(half[0]) if len(half) else None,
        horizon=int(horizon),
        mean=float(restricted_mean(events, share[None], horizon)[0]),
        interval=_interval(steps, reached, horizon),
        steps=[0, *(int(step) for step in events), max(one.end for one in observed)],
        share=[0.0, *(1 - share).tolist(), float(1 - share[-1]) if len(share) else 0.0],
    )


def _interval(steps: np.ndarray, reached: np.ndarray, horizon: float) -> Interval | None:
    """Resample the trials; None where they are too few, or too alike for any resample to differ."""
    if len(steps) < FEWEST:
        return None
    counts = resampled_counts(len(steps), np.random.default_rng(0))
    means = restricted_mean(*survival(steps, reached, counts), horizon)
    return percentile_interval(means) if np.ptp(means) > 0 else None
