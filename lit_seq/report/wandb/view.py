"""The report as a W&B report: text and tables as they stand elsewhere, charts drawn by W&B from its runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lit_seq.report import captions
from lit_seq.report.configurations import short_names, spelt_key
from lit_seq.report.document import Document
from lit_seq.report.markdown import Pictures, by_section, escape
from lit_seq.report.read import Run
from lit_seq.report.wording import metric_name

_LONGEST_TITLE = 128
_WIDE, _HALF, _HIGH = 24, 12, 10
"""Columns of W&B's grid, and rows of a chart."""
_MOST_LINES = 100


@dataclass(frozen=True)
class Place:
    """A project at W&B.

    Attributes:
        entity: user or team.
        project: its name.
    """

    entity: str
    project: str


def view(document: Document, runs: Mapping[Place, Sequence[Run]], links: Mapping[str, str]) -> Any:
    """Build a `wandb_workspaces.reports.v2.Report`; nothing is asked of W&B.

    Args:
        document: what the report says.
        runs: the runs of it by the project that they lie in; it is over these, and no others of a project,
            and lies in the first one.
        links: addresses of pages, by title.
    """
    import wandb_workspaces.reports.v2 as wr

    everything = [run for own in runs.values() for run in own]
    compared = [path for key in document.compare_by if (path := _path(key, everything))]
    blocks: list[Any] = []
    drawn = _charts(document, everything)
    for name, texts in by_section(document, Pictures()).items():
        if name == "answer":
            blocks += [wr.CalloutBlock(text=document.answer), wr.P(text=captions.progress(document))]
            continue
        charts = drawn.get(name, [])
        if charts and not texts:
            texts = [f"## {_TITLES[name]}"]
        blocks += [wr.MarkdownBlock(text="\n\n".join(texts))] if texts else []
        if charts:
            # Curves are means over trials; every other chart is over single ones.
            groups = compared if name == "curves" else []
            blocks.append(wr.PanelGrid(runsets=_runsets(runs, groups), panels=charts))
    pages = [f"- [{escape(title)}]({url})" for title, url in links.items()]
    blocks.append(wr.MarkdownBlock(text="\n".join(["## Pages", *pages, f"\nWritten {document.written}."])))
    place = next(iter(runs))
    return wr.Report(
        entity=place.entity,
        project=place.project,
        title=document.title[:_LONGEST_TITLE],
        description=document.question or "",
        blocks=blocks,
        width="fluid",
    )


_TITLES = {
    "curves": "Learning curves",
    "coordinates": "Every trial and its settings",
    "importance": "Which settings decide",
}


def _charts(document: Document, runs: Sequence[Run]) -> dict[str, list[Any]]:
    """Return the panels that W&B draws by itself, by section."""
    import wandb_workspaces.reports.v2 as wr

    metrics = dict.fromkeys(panel.metric for panel in document.panels)
    curves = [
        wr.LinePlot(
            title=metric_name(metric),
            x="Step",
            y=[metric],
            title_x="Optimiser steps",
            title_y=metric_name(metric),
            groupby_aggfunc="mean",
            groupby_rangefunc="minmax",
            max_runs_to_show=_MOST_LINES,
            layout=wr.Layout(x=_HALF * (at % 2), y=_HIGH * (at // 2), w=_HALF, h=_HIGH),
        )
        for at, metric in enumerate(metrics)
    ]
    keys = list(dict.fromkeys(key for one in document.coordinates for key in one.keys))
    short = short_names(keys)
    columns = [
        wr.ParallelCoordinatesPlotColumn(metric=wr.Config(path), display_name=short[key])
        for key in keys
        if (path := _path(key, runs))
    ]
    columns.append(
        wr.ParallelCoordinatesPlotColumn(
            metric=wr.SummaryMetric(document.metric), display_name=f"{metric_name(document.metric)}, last"
        )
    )
    wide = wr.Layout(x=0, y=0, w=_WIDE, h=_HIGH)
    found: dict[str, list[Any]] = {"curves": curves}
    if document.coordinates:
        found["coordinates"] = [wr.ParallelCoordinatesPlot(columns=columns, layout=wide)]
    if any(one.shares for one in document.importance):
        found["importance"] = [wr.ParameterImportancePlot(with_respect_to=document.metric, layout=wide)]
    return {name: panels for name, panels in found.items() if panels}


def _runsets(runs: Mapping[Place, Sequence[Run]], groups: Sequence[str]) -> list[Any]:
    import wandb_workspaces.reports.v2 as wr
    from wandb_workspaces import expr

    return [
        wr.Runset(
            entity=place.entity,
            project=place.project,
            name="Trials" if len(runs) == 1 else f"Trials in {place.project}",
            filters=[expr.Metric("ID").isin([run.status.wandb_run_id for run in own])],
            groupby=[f"config.{path}" for path in groups],
        )
        for place, own in runs.items()
    ]


def _path(key: str, runs: Sequence[Run]) -> str | None:
    """Return where a setting stands in the nested configuration, where no dot is part of a name."""
    spelt = {spelt_key(own): own for run in runs for own in run.config}
    return spelt.get(key)
