"""The table of configurations: mean, interval, seeds, difference from the best, cost."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from lit_seq.report.configurations import Configuration, identity, short_names, show
from lit_seq.report.plan import Goal, Statistic
from lit_seq.report.read import Run
from lit_seq.report.score import Score
from lit_seq.report.statistics import FEWEST, Difference, Interval, Method, difference, estimate, mean


@dataclass
class Row:
    """One line of the table.

    Attributes:
        label: the configuration.
        task: what it learnt; None where all learn the same.
        settings: the other settings it was run at, where only some are compared.
        tried: how many settings were tried, of which this is the one with the best mean.
        at_edge: settings, each at the lowest or highest of three or more values that were tried.
        trials: number of trials.
        states: number of trials in each state.
        counted: trials in the mean: those that finished and logged the metric.
        seeds: their seeds.
        scores: their values, in the same order.
        mean: mean of `scores`, or their interquartile mean where the report is about that.
        interval: its 95 % interval; None where the values are too few.
        statistic: which of the two it is.
        method: how the interval was made.
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
    task: str | None
    settings: str | None
    tried: int
    trials: int
    states: dict[str, int]
    counted: int
    at_edge: list[str] = field(default_factory=list)
    seeds: list[int | None] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    mean: float | None = None
    interval: Interval | None = None
    statistic: Statistic = "mean"
    method: Method | None = None
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
    compared: Sequence[Configuration],
    scores: Mapping[int, Score],
    counted: set[int],
    goal: Goal,
    statistic: Statistic = "mean",
    task: str | None = None,
) -> list[tuple[Configuration, Row]]:
    """Return the configurations and their rows, best mean first.

    Args:
        configurations: all that were run.
        compared: what is compared: each is one or several of the configurations, of which the one with the
            best mean stands for it.
        scores: by `id` of the run.
        counted: `id` of each run that counts in means.
        goal: which way is better.
        statistic: what stands for the seeds.
        task: what all of them learnt.
    """
    sign = 1 if goal == "minimize" else -1

    def rank(entry: tuple[Configuration, Row]) -> tuple[bool, float]:
        row = entry[1]
        value = row.mean if row.mean is not None else row.so_far
        return row.mean is None, float("inf") if value is None else sign * value

    entries = []
    for together in compared:
        members = {id(run) for run in together.runs}
        own = [c for c in configurations if id(c.runs[0]) in members]
        best, row = min(((c, _row(c, scores, counted, goal, statistic)) for c in own), key=rank)
        row.label, row.task, row.tried = together.label, task, len(own)
        if len(own) > 1:
            rest = [key for key in best.values if key not in together.values]
            row.settings = _written(best, rest)
            row.at_edge = _at_edge(best, own, rest)
        entries.append((Configuration(best.values, best.runs, row.label), row))
    entries.sort(key=rank)
    rows = [row for _, row in entries if row.mean is not None]
    for row in rows[1:]:
        row.difference = difference(row.by_seed(), rows[0].by_seed(), statistic)
    return entries


def _row(
    configuration: Configuration,
    scores: Mapping[int, Score],
    counted: set[int],
    goal: Goal,
    statistic: Statistic,
) -> Row:
    runs = configuration.runs
    better = min if goal == "minimize" else max
    own = [run for run in runs if id(run) in counted]
    row = Row(
        label=configuration.label,
        task=None,
        settings=None,
        tried=1,
        trials=len(runs),
        states=dict(Counter(run.status.state for run in runs)),
        counted=len(own),
        seeds=[run.seed for run in own],
        scores=[scores[id(run)].value for run in own],
        seconds=_mean_or_none([run.status.share for run in own if run.status.seconds > 0]),
        steps_per_second=_mean_or_none([speed for run in own if (speed := steps_per_second(run))]),
        pack=max((run.status.pack for run in own), default=1),
        statistic=statistic,
    )
    if own:
        told = estimate(row.scores, statistic)
        row.mean, row.interval, row.method = told.value, told.interval, told.method
        row.best = better(row.scores)
        row.final = mean([scores[id(run)].final for run in own])
    else:
        row.so_far = better([scores[id(run)].value for run in runs if id(run) in scores], default=None)
    row.warning = _warning(row)
    return row


def _at_edge(best: Configuration, tried: Sequence[Configuration], keys: Sequence[str]) -> list[str]:
    """Name the numbers at which the best lies at the end of what was tried: it may lie beyond."""
    short, found = short_names(list(best.values)), []
    for key in keys:
        values = {identity(c.values[key]): c.values[key] for c in tried if key in c.values}
        if len(values) < 3 or not all(is_number(value) for value in values.values()):
            continue
        for end, name in ((min, "lowest"), (max, "highest")):
            if best.values[key] == end(values.values()):
                found.append(f"{short[key]} {show(best.values[key])} is the {name} of {len(values)}")
    return found


def is_number(value: object) -> bool:
    """Whether a setting is a number."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _warning(row: Row) -> str | None:
    if row.counted == 0:
        return "finished without the metric" if row.states.get("finished") else "no finished trial"
    if row.counted == 1:
        return "one seed: no interval"
    if row.interval is None:
        return f"{row.counted} seeds: too few for an interval, which needs {FEWEST}"
    if len(set(row.scores)) == 1:
        return "all seeds gave the same value: the interval has no width"
    return "two seeds: weak evidence" if row.counted == 2 else None


def steps_per_second(run: Run) -> float | None:
    """Return optimiser steps per second of training, of a packed trial in its share of the pack's time."""
    return run.status.step / run.status.share if run.status.seconds > 0 and run.status.step else None


def _written(configuration: Configuration, keys: Sequence[str]) -> str:
    short = short_names(keys)
    return ", ".join(f"{short[key]} {show(configuration.values[key])}" for key in keys)


def _mean_or_none(values: list[float]) -> float | None:
    return mean(values) if values else None
