"""The table of configurations: mean, interval, seeds, difference from the best, cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lit_seq.report.configurations import Configuration, group, short_names, show
from lit_seq.report.plan import Goal
from lit_seq.report.read import Run
from lit_seq.report.score import Score
from lit_seq.report.statistics import Difference, Interval, difference, mean, mean_interval


@dataclass
class Row:
    """One line of the table.

    Attributes:
        label: the configuration.
        settings: the other settings it was run at, where only some are compared.
        tried: how many settings were tried, of which this is the one with the best mean.
        trials: number of trials.
        states: number of trials in each state.
        counted: trials in the mean: those that finished and logged the metric.
        seeds: their seeds.
        scores: their values, in the same order.
        mean: mean of `scores`.
        interval: 95 % interval of the mean; None for fewer than two values.
        best: the best of `scores`.
        so_far: the best value of the trials that do not count, where none counts.
        final: mean of the values at the end of training.
        difference: from the row with the best mean; None in that row and where either has no mean.
        seconds: mean training time of the trials that count, of packed ones their share of the pack's.
        steps_per_second: mean speed of these trials.
        pack: the most trials that trained as one with one of them, itself included.
        warning: why the numbers are weak evidence.
    """

    label: str
    settings: str | None
    tried: int
    trials: int
    states: dict[str, int]
    counted: int
    seeds: list[int | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    mean: float | None = None
    interval: Interval | None = None
    best: float | None = None
    so_far: float | None = None
    final: float | None = None
    difference: Difference | None = None
    seconds: float | None = None
    steps_per_second: float | None = None
    pack: int = 1
    warning: str | None = None

    def by_seed(self) -> Mapping[int, float] | list[float]:
        """Return the scores by seed; without seeds where one is unknown."""
        known = {seed: value for seed, value in zip(self.seeds, self.scores, strict=True) if seed is not None}
        return known if len(known) == len(self.scores) else self.scores


def table(
    configurations: Sequence[Configuration],
    compare_by: Sequence[str],
    scores: Mapping[int, Score],
    counted: set[int],
    goal: Goal,
) -> list[tuple[Configuration, Row]]:
    """Return the configurations and their rows, best mean first.

    Args:
        configurations: all that were run.
        compare_by: keys to compare by; where configurations agree in all of these, the one with the
            best mean stands for them.
        scores: by `id` of the run.
        counted: `id` of each run that counts in means.
        goal: which way is better.
    """
    sign = 1 if goal == "minimize" else -1

    def rank(entry: tuple[Configuration, Row]) -> tuple[bool, float]:
        row = entry[1]
        value = row.mean if row.mean is not None else row.so_far
        return row.mean is None, float("inf") if value is None else sign * value

    compared = group([run for c in configurations for run in c.runs], compare_by)
    entries = []
    for together in compared:
        members = {id(run) for run in together.runs}
        own = [c for c in configurations if id(c.runs[0]) in members]
        best, row = min(((c, _row(c, scores, counted, goal)) for c in own), key=rank)
        row.label, row.tried = together.label if compare_by else best.label, len(own)
        row.settings = _rest(best, compare_by) if len(own) > 1 else None
        entries.append((Configuration(best.values, best.runs, row.label), row))
    entries.sort(key=rank)
    rows = [row for _, row in entries if row.mean is not None]
    for row in rows[1:]:
        row.difference = difference(row.by_seed(), rows[0].by_seed())
    return entries


def _row(configuration: Configuration, scores: Mapping[int, Score], counted: set[int], goal: Goal) -> Row:
    runs = configuration.runs
    better = min if goal == "minimize" else max
    own = [run for run in runs if id(run) in counted]
    row = Row(
        label=configuration.label,
        settings=None,
        tried=1,
        trials=len(runs),
        states=dict(Counter(run.status.state for run in runs)),
        counted=len(own),
        seeds=[run.seed for run in own],
        scores=[scores[id(run)].best for run in own],
        seconds=_mean_or_none([run.status.share for run in own if run.status.seconds > 0]),
        steps_per_second=_mean_or_none([speed for run in own if (speed := steps_per_second(run))]),
        pack=max((run.status.pack for run in own), default=1),
    )
    if own:
        row.mean, row.best = mean(row.scores), better(row.scores)
        row.interval = mean_interval(row.scores)
        row.final = mean([scores[id(run)].final for run in own])
    else:
        row.so_far = better([scores[id(run)].best for run in runs if id(run) in scores], default=None)
    row.warning = _warning(row)
    return row


def _warning(row: Row) -> str | None:
    if row.counted == 0:
        return "no finished trial"
    if row.counted == 1:
        return "one seed: no interval"
    if len(set(row.scores)) == 1:
        return "all seeds gave the same value: the interval has no width"
    return "two seeds: weak evidence" if row.counted == 2 else None


def steps_per_second(run: Run) -> float | None:
    """Return optimiser steps per second of training, of a packed trial in its share of the pack's time."""
    return run.status.step / run.status.share if run.status.seconds > 0 and run.status.step else None


def _rest(configuration: Configuration, compare_by: Sequence[str]) -> str:
    rest = [key for key in configuration.values if key not in compare_by]
    short = short_names(rest)
    return ", ".join(f"{short[key]} {show(configuration.values[key])}" for key in rest)


def _mean_or_none(values: list[float]) -> float | None:
    return mean(values) if values else None
