"""The report as Markdown: the answer and the tables, for a README."""

import html
import re
from collections.abc import Sequence

from lit_seq.report import captions, sections
from lit_seq.report.document import Document
from lit_seq.report.said import Said
from lit_seq.report.sections.block import Section
from lit_seq.report.table import Row
from lit_seq.report.wording import duration, number
from lit_seq.samples import views

SHOWN = 3
"""Configurations whose samples are shown."""


def markdown(document: Document) -> str:
    """Return the text; learning curves and drawings are left to the HTML file."""
    writers = {
        "answer": _answer,
        "table": _comparison,
        "samples": _samples,
        "trials": _trials,
        "reproduce": _reproduce,
    }
    blocks = [f"# {escape(document.title)}"]
    if document.question:
        blocks.append(f"*{escape(document.question)}*")
    for name in sections.shown(document):
        if name in sections.NAMES:
            blocks += _section(sections.section(name, document))
        else:
            blocks += writers[name](document) if name in writers else []
    return "\n\n".join(blocks) + "\n"


def escape(text: object) -> str:
    """Make text that comes from data safe in a line or a cell of a table."""
    safe = html.escape(" ".join(str(text).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|#~])", r"\\\1", safe)


def _answer(document: Document) -> list[str]:
    fixed = [f"Held fixed: {escape(captions.held_fixed(document))}."] if document.fixed else []
    answers = [f"**{escape(line)}**" for line in document.answer.splitlines()]
    return [*answers, escape(captions.progress(document)), *fixed]


def _section(section: Section) -> list[str]:
    """Write the tables; a block that is nothing but a chart is left to the HTML file."""
    blocks = []
    for block in section.blocks:
        if block.rows:
            blocks += [f"### {escape(block.title)}"] if block.title else []
            cells = [[escape(cell.text) for cell in row] for row in block.rows]
            blocks += [
                _table([escape(column.title) for column in block.columns], cells),
                escape(block.caption),
            ]
    if not section.blocks:
        blocks = [escape(section.missing)]
    return [f"## {escape(section.title)}", *filter(None, blocks)] if blocks else []


def _comparison(document: Document) -> list[str]:
    mean = "mean" if document.statistic == "mean" else "interquartile mean"
    tasks = len(document.tasks) > 1
    header = [
        "Configuration",
        *(["Task"] if tasks else []),
        f"{escape(document.judge.title)}: {mean} [95 % interval]",
        "Difference from the best [95 %]",
        "Trials that count",
        "Best",
        "At the end",
        "Time a trial",
        "Steps a second",
    ]
    rows = [_cells(row, tasks) for row in document.rows]
    return ["## Comparison", _table(header, rows), escape(captions.comparison(document))] if rows else []


def _cells(row: Row, tasks: bool) -> list[str]:
    name = escape(row.label)
    if row.settings is not None:
        name += f" (best of {row.tried}: {escape(row.settings)})"
    interval = f" [{number(row.interval.low)}, {number(row.interval.high)}]" if row.interval else ""
    gap = row.difference
    difference = "–" if gap is None else captions.signed(gap)
    if gap is not None and gap.interval is not None:
        difference += f" [{', '.join(captions.edges(gap))}]"
    warning = f" ({row.warning})" if row.warning else ""
    name += "".join(f"; {escape(edge)} tried" for edge in row.at_edge)
    return [
        name,
        *([escape(row.task)] if tasks else []),
        number(row.mean) + interval + warning,
        difference,
        f"{row.counted} of {row.trials}",
        number(row.best) if row.so_far is None else f"{number(row.so_far)} so far",
        number(row.final),
        duration(row.seconds),
        number(row.steps_per_second, 3),
    ]


def _samples(document: Document) -> list[str]:
    blocks = [block for said in document.said[:SHOWN] for block in _last(said)]
    return ["## What the models say at the end of training", *blocks] if blocks else []


def _last(said: Said) -> list[str]:
    last = said.moments[-1]
    text = "\n".join(views.text(sample).strip() for sample in last.samples)
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return [f"{escape(said.label)}, step {last.step:,}:", f"{fence}text\n{text}\n{fence}"]


def _trials(document: Document) -> list[str]:
    others = [trial for trial in document.trials if not trial.counts]
    blocks = [f"- {escape(note)}" for note in document.notes]
    if others:
        header = ["Trial", "Configuration", "Seed", "State", "Step", "Reason"]
        rows = [
            [
                escape(trial.name),
                escape(trial.label),
                "–" if trial.seed is None else str(trial.seed),
                trial.state,
                f"{trial.step:,}" + (f" of {trial.max_steps:,}" if trial.max_steps else ""),
                escape(trial.reason or "–"),
            ]
            for trial in others
        ]
        return ["## Trials that do not count", _table(header, rows), *(["\n".join(blocks)] if blocks else [])]
    return ["## Notes", "\n".join(blocks)] if blocks else []


def _reproduce(document: Document) -> list[str]:
    lines = []
    for source in document.sources:
        for key, texts in captions.environment(source.environment):
            lines.append(f"- {escape(key)}: {escape(', '.join(texts))}")
    if document.wandb_groups:
        lines.append(f"- W&amp;B group: {escape(', '.join(document.wandb_groups))}")
    return ["## How to reproduce", "\n".join(lines)] if lines else []


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
