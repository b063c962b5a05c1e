"""What a report is made of: the runs of a plan, their scores, and which of them are compared."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.errors import UserError
from lit_seq.report.configurations import (
    Configuration,
    group,
    identity,
    is_one_sweep,
    settings,
    show,
    spelt,
    spelt_key,
    varies,
    varying_keys,
)
from lit_seq.report.heat_map import ordered
from lit_seq.report.machines import joined
from lit_seq.report.plan import Goal, Plan
from lit_seq.report.read import Run, read_runs
from lit_seq.report.score import Judge, Score, horizon, likely_goal, likely_metric
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.report.tasks import Task, task_keys, tasks
from lit_seq.report.wording import count, listing


@dataclass
class Material:
    """What a report is made of.

    Attributes:
        runs: all runs but those that are not at what is held fixed.
        left_out: number of these.
        sources: the sweeps' and runs' folders.
        missing: number of trials that the sweeps ask for and that have no folder yet.
        title: the names of the sources.
        judge: how trials are judged.
        scores: by `id` of the run.
        counted: `id` of each run that counts in means.
        compare_by: the keys that are compared.
        keys: all keys that vary, those that are compared first.
        together: further ones that vary in step with them.
        configurations: all runs, by configuration.
        grid: the keys of the heat map; empty where nobody chose them.
        tasks: the same by task, one run a seed.
        notes: what was damaged, left out or odd, a sentence each.
    """

    runs: list[Run]
    left_out: int
    sources: list[SweepFolder]
    missing: int
    title: str
    judge: Judge
    scores: dict[int, Score]
    counted: set[int]
    compare_by: list[str]
    keys: list[str]
    together: list[str]
    configurations: list[Configuration]
    grid: list[str]
    tasks: list[Task]
    notes: list[str]


def gather(plan: Plan) -> Material:
    """Read the runs of `plan`, and sort them.

    Raises:
        UserError: see `lit_seq.report.document.build`.
    """
    everything, sources = _read(plan)
    if len(sources) > 1:
        for run in everything:
            run.name = run.name if run.sweep == run.folder else f"{run.sweep.name}/{run.name}"
    runs = _held_fixed(everything, plan.fix)
    judge = _judge(plan, sources, runs)
    scores = {id(run): score for run in runs if (score := judge.score(run)) is not None}
    known = _with_known_settings(runs)
    asked, of_grid = map(_spelt, (plan.compare_by, plan.heat_map))
    of_task = task_keys(known, [*asked, *of_grid])
    varying, together = varying_keys(known, of_task)
    compare_by = _compare_by(asked, known, varying)
    if wrong := [key for key in of_grid if key not in varying]:
        raise UserError(
            f"heat_map: {wrong[0]!r} does not vary; what varies is {listing(varying) or 'nothing'}."
        )
    keys = [*compare_by, *(key for key in varying if key not in compare_by)]
    configurations = group(known, keys)
    compared = group(known, compare_by) if compare_by else configurations
    title = listing([source.name for source in sources[:3]]) + (" and others" if len(sources) > 3 else "")
    if not keys:
        for configuration in configurations:
            configuration.label = title
    found = tasks(known, of_task)
    together = [key for key in together if any(varies(key, task.runs) for task in found)]
    notes = _notes(runs, sources, judge, found, configurations, scores)
    for task in found:
        members = {id(run) for run in task.runs}
        for configuration in configurations:
            if within := [run for run in configuration.runs if id(run) in members]:
                kept = _one_a_seed(within, judge, scores)
                task.configurations.append(Configuration(configuration.values, kept, configuration.label))
        chosen = {id(run) for configuration in task.configurations for run in configuration.runs}
        for side in compared:
            if within := [run for run in side.runs if id(run) in chosen]:
                task.compared.append(Configuration(side.values, within, side.label))
    return Material(
        runs=runs,
        left_out=len(everything) - len(runs),
        sources=sources,
        missing=sum(_missing(source, everything) for source in sources),
        title=title,
        judge=judge,
        scores=scores,
        counted={
            id(run)
            for task in found
            for configuration in task.configurations
            for run in configuration.runs
            if _usable(run, judge, scores)
        },
        compare_by=compare_by,
        keys=keys,
        together=together,
        configurations=configurations,
        grid=of_grid,
        tasks=found,
        notes=notes,
    )


def _read(plan: Plan) -> tuple[list[Run], list[SweepFolder]]:
    """Read each run once, and what it is part of: those in folders, then those at W&B."""
    folders, addresses = plan.folders(), plan.addresses()
    runs = {run.folder.resolve(): run for folder in folders for run in read_runs(folder)}
    found = {folder: SweepFolder.read(folder) for folder in dict.fromkeys(run.sweep for run in runs.values())}
    if addresses:
        # What asks W&B is only loaded where it is asked.
        from lit_seq.report.wandb.source import read_from_wandb

        for address in addresses:
            there, parts = read_from_wandb(address)
            runs |= {run.folder: run for run in there if run.folder not in runs}
            found |= {part.folder: part for part in parts}
    everything, whole = joined(list(runs.values()), found)
    return everything, list(whole.values())


def _held_fixed(runs: list[Run], fix: Mapping[str, Any]) -> list[Run]:
    """Keep the runs at the values that are held fixed."""
    kept = runs
    own = {id(run): settings(run) for run in runs}
    for key, wanted in spelt(dict(fix)).items():
        told = [own[id(run)][key] for run in runs if key in own[id(run)]]
        if not told:
            raise UserError(f"fix: no trial sets {key!r}.")
        allowed = {identity(value) for value in (wanted if isinstance(wanted, list) else [wanted])}
        if not any(identity(value) in allowed for value in told):
            raise UserError(
                f"fix: no trial has {key} {show(wanted)}; there are "
                f"{listing([show(v) for v in ordered(told)])}."
            )
        kept = [run for run in kept if identity(own[id(run)].get(key, _UNSET)) in allowed]
    if not kept:
        raise UserError("fix: no trial has all the values that are to be held fixed.")
    return kept


_UNSET = "(not set)"


def _judge(plan: Plan, sources: Sequence[SweepFolder], runs: Sequence[Run]) -> Judge:
    metric, goal = _metric(plan, sources, runs)
    targets = [source.target for source in sources if source.metric and source.metric[0] == metric]
    threshold = plan.threshold if plan.threshold is not None else next(filter(None, targets), None)
    if plan.judge_by == "updates" and threshold is None:
        raise UserError("judge_by updates needs a threshold: the value of the metric that is good enough.")
    return Judge(metric, goal, plan.judge_by, threshold, horizon(runs, metric))


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
    known = [run for run in runs if run.status.overrides or (run.config and run.sweep not in sweeps)]
    # Several sweeps are told apart by their trials' full configurations, where these have any.
    return known if is_one_sweep(known) else [run for run in known if run.config] or known


def _spelt(keys: Sequence[str] | None) -> list[str]:
    return [spelt_key(key) for key in keys or []]


def _compare_by(asked: Sequence[str], runs: Sequence[Run], keys: list[str]) -> list[str]:
    for key in asked:
        if not any(key in settings(run) for run in runs):
            raise UserError(
                f"compare_by: no trial sets {key!r}; what varies is {listing(keys) or 'nothing'}."
            )
    return list(dict.fromkeys(asked or keys))


def _one_a_seed(runs: Sequence[Run], judge: Judge, scores: Mapping[int, Score]) -> list[Run]:
    """Keep one run a seed: a usable one, the last read; runs without a seed all stay."""
    kept: dict[Any, Run] = {}
    for run in runs:
        key = ("unknown", id(run)) if run.seed is None else ("seed", run.seed)
        earlier = kept.get(key)
        if earlier is None or _usable(run, judge, scores) >= _usable(earlier, judge, scores):
            kept[key] = run
    return list(kept.values())


def _usable(run: Run, judge: Judge, scores: Mapping[int, Score]) -> bool:
    return judge.counts(run) and id(run) in scores


def _notes(
    runs: Sequence[Run],
    sources: Sequence[SweepFolder],
    judge: Judge,
    tasks: Sequence[Task],
    configurations: Sequence[Configuration],
    scores: Mapping[int, Score],
) -> list[str]:
    notes = [f"Trial {run.name}: {problem}" for run in runs for problem in run.problems]
    notes += [problem for source in sources for problem in source.problems]
    if unknown := [source.name for source in sources if not source.environment and source.url is None]:
        notes.append(f"Where and how it ran is not known (no environment.json): {listing(unknown)}.")
    if unknown := [source.name for source in sources if not source.environment and source.url]:
        notes.append(f"Where and how it ran is not known (no sweep logged it to W&B): {listing(unknown)}.")
    if any(source.url for source in sources):
        notes.append(
            "What models said, and what diagnostics saw along time, stands in run folders alone: there is "
            "none of runs that were read from W&B."
        )
    of_task = {id(run): task.name for task in tasks for run in task.runs}
    for configuration in configurations:
        for (task, seed), times in Counter(
            (of_task[id(run)], run.seed) for run in configuration.runs
        ).items():
            if times > 1 and seed is not None:
                where = configuration.label if task is None else f"{configuration.label}, {task}"
                notes.append(f"{where}: seed {seed} was run {times} times; one of them counts.")
    for run in runs:
        result = scores.get(id(run))
        if result is not None and result.not_finite and run.status.state == "finished":
            values = count(result.not_finite, "value")
            notes.append(
                f"Trial {run.name}: {values} of {judge.metric} NaN or infinite, left out of its best and "
                "its curve."
            )
    return notes


def _missing(source: SweepFolder, runs: Sequence[Run]) -> int:
    there = sum(run.sweep == source.folder for run in runs)
    return 0 if source.expected is None else max(0, source.expected - there)
