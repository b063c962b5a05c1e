"""The report as plain data: what every format writes."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from lit_seq.report.answer import answer
from lit_seq.report.configurations import Configuration
from lit_seq.report.coordinates import Coordinates, coordinates
from lit_seq.report.cost import Cost, cost
from lit_seq.report.curves import Panel, panel
from lit_seq.report.gradient_flow import SHOWN, Flow, Found, Split, gradient_flow
from lit_seq.report.heat_map import HeatMap, heat_map
from lit_seq.report.importance import Importance, importance
from lit_seq.report.material import Material, gather
from lit_seq.report.orderings import Outcomes, outcomes
from lit_seq.report.pairs import Pair, pairs
from lit_seq.report.plan import SECTIONS, Axis, Plan, Published, Statistic
from lit_seq.report.profile import Profile, profiles
from lit_seq.report.read import Run
from lit_seq.report.said import Said, said
from lit_seq.report.score import Judge
from lit_seq.report.sweep_folder import SweepFolder
from lit_seq.report.table import Row, table
from lit_seq.report.tasks import Task
from lit_seq.report.trials import Trial, trials
from lit_seq.report.updates import Updates, updates
from lit_seq.report.wording import count

T = TypeVar("T")

MOST_INSIDE = 12
"""Metrics of diagnostics that are drawn."""
POINTS_INSIDE = 4_000
"""Points of each."""


@dataclass
class Document:
    """A report.

    Attributes:
        title: headline.
        question: what it answers.
        answer: the answer, drawn from `rows`.
        metric: the metric that decides.
        judge: which number of it decides, and which way is better.
        statistic: what stands for the seeds.
        compare_by: the keys that are compared.
        together: keys that vary in step with these, so that their effects cannot be told apart.
        fixed: what was held fixed, key to value or values.
        left_out: number of trials that were left out by that.
        tasks: what was learnt, each judged by itself; [None] where all learn the same.
        x: what curves are drawn against at first.
        written: when the report was made.
        sources: the sweeps' and runs' folders.
        states: number of trials in each state.
        missing: number of trials that the sweeps ask for and that have no folder yet.
        rows: the table, of one task after the other, best first.
        panels: learning curves: of each task the metric, then its counterpart in training.
        pairs: configurations two by two.
        updates: updates until the threshold, where there is one.
        heat_maps: two settings against each other, of each task.
        coordinates: every trial with its settings, of each task.
        importance: which settings decide, in each task.
        profiles: which share of trials is at least so good, over all tasks.
        flows: how gradients flow through time in the best configurations, where diagnostics looked.
        splits: what that amounts to.
        inside: learning curves of what else was seen inside of these.
        cost: what the configurations cost.
        published: figures of others.
        outcomes: what should come out, and whether it did.
        said: what models said at stages of their training, best configuration first.
        trials: every trial.
        wandb_groups: W&B groups of the runs.
        notes: what was damaged, left out or odd, a sentence each.
        sections: which sections to show, in this order.
        asked: whether somebody chose these sections.
    """

    title: str
    question: str | None
    answer: str
    metric: str
    judge: Judge
    statistic: Statistic
    compare_by: list[str]
    together: list[str]
    fixed: dict[str, Any]
    left_out: int
    tasks: list[str | None]
    x: Axis
    written: str
    sources: list[SweepFolder]
    states: dict[str, int]
    missing: int
    rows: list[Row]
    panels: list[Panel]
    pairs: list[Pair]
    updates: list[Updates]
    heat_maps: list[HeatMap]
    coordinates: list[Coordinates]
    importance: list[Importance]
    profiles: list[Profile]
    flows: list[Flow]
    splits: list[Split]
    inside: list[Panel]
    cost: list[Cost]
    published: list[Published]
    outcomes: list[Outcomes]
    said: list[Said]
    trials: list[Trial]
    wandb_groups: list[str]
    notes: list[str]
    sections: list[str]
    asked: bool


@dataclass
class _Part:
    """What is said of one task; see `Document`."""

    entries: list[tuple[Configuration, Row]]
    panels: list[Panel | None]
    updates: list[Updates]
    heat_map: HeatMap | None
    coordinates: Coordinates | None
    importance: Importance
    flow: Found
    inside: list[Panel | None]
    cost: list[Cost]
    said: list[Said | None]


def build(plan: Plan) -> Document:
    """Read the run folders and compute everything that a report says.

    Raises:
        UserError: no such folder, no trial, or no trial has the metric, a key to compare by, a value that
            is to be held fixed or a configuration that something is said of.
    """
    return compose(gather(plan), plan)


def compose(material: Material, plan: Plan) -> Document:
    """Compute everything that a report says of what was read."""
    judge, scores = material.judge, material.scores
    parts = [_part(task, material, plan) for task in material.tasks]
    entries = [entry for part in parts for entry in part.entries]
    rows = [row for _, row in entries]
    return Document(
        title=plan.title or material.title,
        question=plan.question or next((d for s in material.sources if (d := s.description)), None),
        answer=answer(rows, judge),
        metric=judge.metric,
        judge=judge,
        statistic=plan.statistic,
        compare_by=material.compare_by,
        together=material.together,
        fixed=plan.fix,
        left_out=material.left_out,
        tasks=[task.name for task in material.tasks],
        x=plan.x,
        written=datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z"),
        sources=material.sources,
        states=dict(Counter(run.status.state for run in material.runs)),
        missing=material.missing,
        rows=rows,
        panels=_there(panel for part in parts for panel in part.panels),
        pairs=pairs(rows, judge.direction, plan.statistic),
        updates=[one for part in parts for one in part.updates],
        heat_maps=_there(part.heat_map for part in parts),
        coordinates=_there(part.coordinates for part in parts),
        importance=[part.importance for part in parts],
        profiles=profiles(entries, scores, material.counted, judge.direction),
        flows=[one for part in parts for one in part.flow.flows],
        splits=[one for part in parts for one in part.flow.splits],
        inside=_there(panel for part in parts for panel in part.inside),
        cost=[one for part in parts for one in part.cost],
        published=plan.published,
        outcomes=outcomes(plan.orderings, rows, judge.direction, plan.statistic),
        said=_there(one for part in parts for one in part.said),
        trials=trials(material.runs, material.configurations, scores, material.counted, judge.metric),
        wandb_groups=sorted({str(g) for run in material.runs if (g := run.config.get("wandb.group"))}),
        notes=[
            *material.notes,
            *_axis_notes(plan.x, parts),
            *(note for part in parts for note in part.flow.notes),
        ],
        sections=list(SECTIONS) if plan.sections is None else plan.sections,
        asked=plan.sections is not None,
    )


def _part(task: Task, material: Material, plan: Plan) -> _Part:
    judge, scores, counted = material.judge, material.scores, material.counted
    goal, statistic, name = judge.direction, plan.statistic, task.name
    entries = table(task.configurations, task.compared, scores, counted, goal, statistic, name)
    chosen = [configuration for configuration, _ in entries]
    # A diverged trial may have a score, but no curve that others could be averaged with.
    finished = {id(run) for run in task.runs if id(run) in counted and run.status.state == "finished"}
    keys = material.keys
    return _Part(
        entries=entries,
        panels=[
            panel(one, chosen, finished, statistic, name) for one in _panel_metrics(judge.metric, task.runs)
        ],
        updates=[] if judge.threshold is None else updates(chosen, judge, name),
        heat_map=heat_map(task.configurations, material.grid or keys, scores, counted, goal, statistic, name),
        coordinates=coordinates(task.configurations, keys, scores, counted, name),
        importance=importance(task.runs, keys, scores, name),
        flow=gradient_flow(chosen, counted, name),
        inside=[
            panel(one, chosen[:SHOWN], finished, statistic, name, POINTS_INSIDE)
            for one in _inside_metrics(plan, task.runs)
        ],
        cost=cost(task.compared, name),
        said=[said(configuration, scores, counted, goal) for configuration in chosen],
    )


def _axis_notes(x: Axis, parts: Sequence[_Part]) -> list[str]:
    """Say where curves cannot be drawn against what was asked for."""
    lines = [
        line for part in parts for panel in part.panels if panel for c in panel.curves for line in c.lines
    ]
    unknown = sum(x not in line.pace for line in lines) if x != "step" else 0
    said = f"x: {x} is not known of {count(unknown, 'curve')}, so charts with one are drawn against steps."
    return [said] if unknown else []


def _there(things: Iterable[T | None]) -> list[T]:
    return [thing for thing in things if thing is not None]


def _panel_metrics(metric: str, runs: Sequence[Run]) -> list[str]:
    """Return the metric and its counterpart in training: the same quantity, else the training loss."""
    counterparts = (f"train/{metric.partition('/')[2]}", "train/loss")
    there = {name for run in runs for name in run.metrics}
    return [metric, *[name for name in counterparts if name in there and name != metric][:1]]


def _inside_metrics(plan: Plan, runs: Sequence[Run]) -> list[str]:
    """Return what diagnostics logged and, where they did or somebody asks, the gradient's norm."""
    there = list(dict.fromkeys(name for run in runs for name in run.metrics))
    found = [name for name in there if name.startswith("diagnostics/")]
    asked = "gradient_flow" in (plan.sections or [])
    norms = ("train/gradient_norm", "train/gradient_norm_clipped") if found or asked else ()
    return [*(name for name in norms if name in there), *found][:MOST_INSIDE]
