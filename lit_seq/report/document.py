"""The report as plain data: what every format writes."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from lit_seq.errors import UserError
from lit_seq.report.answer import answer
from lit_seq.report.configurations import Configuration, group, settings, varying_keys
from lit_seq.report.curves import Panel, panel
from lit_seq.report.plan import Goal, Plan
from lit_seq.report.read import Run, read_runs
from lit_seq.report.said import Said, said
from lit_seq.report.score import Score, likely_goal, likely_metric, score
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.report.table import Row, table
from lit_seq.report.trials import Trial, trials
from lit_seq.report.wording import count, listing


@dataclass
class Document:
    """A report.

    Attributes:
        title: headline.
        question: what it answers.
        answer: the answer, drawn from `rows`.
        metric: the metric that decides.
        goal: which way is better.
        compare_by: the keys that are compared.
        together: keys that vary in step with these, so that their effects cannot be told apart.
        written: when the report was made.
        sources: the sweeps' and runs' folders.
        states: number of trials in each state.
        missing: number of trials that the sweeps ask for and that have no folder yet.
        rows: the table, best first.
        panels: learning curves: the metric, then its counterpart in training.
        said: what models said at stages of their training, best configuration first.
        trials: every trial.
        wandb_groups: W&B groups of the runs.
        notes: what was damaged, left out or odd, a sentence each.
        sections: which sections to show, in this order.
    """

    title: str
    question: str | None
    answer: str
    metric: str
    goal: Goal
    compare_by: list[str]
    together: list[str]
    written: str
    sources: list[SweepFolder]
    states: dict[str, int]
    missing: int
    rows: list[Row]
    panels: list[Panel]
    said: list[Said]
    trials: list[Trial]
    wandb_groups: list[str]
    notes: list[str]
    sections: list[str]


def build(plan: Plan) -> Document:
    """Read the run folders and compute everything that a report says.

    Raises:
        UserError: no such folder, no trial, or no trial has the metric or a key to compare by.
    """
    runs = list(
        {run.folder.resolve(): run for folder in plan.folders() for run in read_runs(folder)}.values()
    )
    sources = [SweepFolder.read(folder) for folder in dict.fromkeys(run.sweep for run in runs)]
    if len(sources) > 1:
        for run in runs:
            run.name = run.name if run.sweep == run.folder else f"{run.sweep.name}/{run.name}"
    metric, goal = _metric(plan, sources, runs)
    scores = {id(run): s for run in runs if (s := score(run.metrics.get(metric), goal)) is not None}
    known = _with_known_settings(runs)
    keys, together = varying_keys(known)
    compare_by = _compare_by(plan, known, keys)
    configurations = group(known, [*compare_by, *(key for key in keys if key not in compare_by)])
    if not keys and not compare_by:
        for configuration in configurations:
            configuration.label = _title(sources)
    listed = [Configuration(c.values, c.runs, c.label) for c in configurations]
    notes = _notes(runs, sources, metric, configurations)
    for configuration in configurations:
        configuration.runs = _one_a_seed(configuration, scores)
    counted = {
        id(run)
        for configuration in configurations
        for run in configuration.runs
        if run.status.state == "finished" and id(run) in scores
    }
    entries = table(configurations, compare_by, scores, counted, goal)
    chosen, rows = [configuration for configuration, _ in entries], [row for _, row in entries]
    panels = [panel(name, chosen, counted) for name in _panel_metrics(metric, runs)]
    return Document(
        title=plan.title or _title(sources),
        question=plan.question or next((d for s in sources if (d := s.description)), None),
        answer=answer(rows, metric, goal),
        metric=metric,
        goal=goal,
        compare_by=compare_by,
        together=together,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        sources=sources,
        states=dict(Counter(run.status.state for run in runs)),
        missing=sum(_missing(source, runs) for source in sources),
        rows=rows,
        panels=[one for one in panels if one is not None],
        said=[one for c in chosen if (one := said(c, scores, counted, goal)) is not None],
        trials=trials(runs, listed, scores, counted, metric),
        wandb_groups=sorted({str(g) for run in runs if (g := run.config.get("wandb.group"))}),
        notes=notes,
        sections=plan.sections,
    )


def _metric(plan: Plan, sources: Sequence[SweepFolder], runs: Sequence[Run]) -> tuple[str, Goal]:
    """Settle the metric: the report file's, else the sweeps', else a guess from what was logged."""
    there = sorted({name for run in runs for name in run.metrics})
    asked = {m for source in sources if (m := source.metric) is not None}
    names = {name for name, _ in asked}
    if plan.metric is None and len(names) > 1:
        raise UserError(
            f"The sweeps are judged by different metrics ({listing(sorted(names))}): "
            "name one of them as metric in a report file."
        )
    metric = plan.metric or next(iter(names), None) or (likely_metric(there) if there else "val/loss")
    if there and metric not in there:
        raise UserError(f"No trial has the metric {metric!r}; the trials logged {listing(there)}.")
    goals: dict[str, Goal] = {name: goal for name, goal in asked if goal is not None}
    return metric, plan.goal or goals.get(metric) or likely_goal(metric)


def _with_known_settings(runs: Sequence[Run]) -> list[Run]:
    """Leave out runs whose folder does not say what they were: queued ones, and damaged ones."""
    sweeps = {run.sweep for run in runs if run.status.overrides}
    return [run for run in runs if run.status.overrides or (run.config and run.sweep not in sweeps)]


def _compare_by(plan: Plan, runs: Sequence[Run], keys: list[str]) -> list[str]:
    for key in plan.compare_by or []:
        if not any(key in settings(run) for run in runs):
            raise UserError(
                f"compare_by: no trial sets {key!r}; what varies is {listing(keys) or 'nothing'}."
            )
    return list(dict.fromkeys(plan.compare_by or keys))


def _one_a_seed(configuration: Configuration, scores: Mapping[int, Score]) -> list[Run]:
    """Keep one run a seed: a finished one, the last read; runs without a seed all stay."""
    kept: dict[Any, Run] = {}
    for run in configuration.runs:
        key = ("unknown", id(run)) if run.seed is None else ("seed", run.seed)
        earlier = kept.get(key)
        if earlier is None or _usable(run, scores) >= _usable(earlier, scores):
            kept[key] = run
    return list(kept.values())


def _usable(run: Run, scores: Mapping[int, Score]) -> bool:
    return run.status.state == "finished" and id(run) in scores


def _notes(
    runs: Sequence[Run], sources: Sequence[SweepFolder], metric: str, configurations: Sequence[Configuration]
) -> list[str]:
    notes = [f"Trial {run.name}: {problem}" for run in runs for problem in run.problems]
    notes += [problem for source in sources for problem in source.problems]
    if unknown := [source.name for source in sources if not source.environment]:
        notes.append(f"Where and how it ran is not known (no environment.json): {listing(unknown)}.")
    for configuration in configurations:
        for seed, times in Counter(run.seed for run in configuration.runs).items():
            if times > 1 and seed is not None:
                notes.append(f"{configuration.label}: seed {seed} was run {times} times; one of them counts.")
    for run in runs:
        result = score(run.metrics.get(metric), "minimize")
        if result is not None and result.not_finite and run.status.state == "finished":
            values = count(result.not_finite, "value")
            notes.append(
                f"Trial {run.name}: {values} of {metric} NaN or infinite, left out of its best and its curve."
            )
    return notes


def _panel_metrics(metric: str, runs: Sequence[Run]) -> list[str]:
    """Return the metric and its counterpart in training: the same quantity, else the training loss."""
    counterparts = (f"train/{metric.partition('/')[2]}", "train/loss")
    there = {name for run in runs for name in run.metrics}
    return [metric, *[name for name in counterparts if name in there and name != metric][:1]]


def _missing(source: SweepFolder, runs: Sequence[Run]) -> int:
    there = sum(run.sweep == source.folder for run in runs)
    return 0 if source.expected is None else max(0, source.expected - there)


def _title(sources: Sequence[SweepFolder]) -> str:
    return listing([source.name for source in sources[:3]]) + (" and others" if len(sources) > 3 else "")
