"""The report as Markdown, for a README: answer, tables, and charts as pictures beside it."""

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import quote

from lit_seq.report import captions, sections
from lit_seq.report.document import Document
from lit_seq.report.said import Said
from lit_seq.report.sections.block import Section
from lit_seq.report.table import Row
from lit_seq.report.wording import count, duration, number, visible
from lit_seq.samples import Map, Matrix, Series, views

SHOWN = 3
"""Configurations whose samples are shown."""
MOST_SOURCES = 12
"""Folders whose environment is shown."""


@dataclass
class Pictures:
    """The pictures that lie beside the file.

    Attributes:
        files: by name of the chart, where its picture lies, from where the file does.
        alt: by name, what it shows.
        note: why there are not more.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    alt: Mapping[str, str] = field(default_factory=dict)
    note: str | None = None

    def __call__(self, name: str | None, caption: str = "") -> list[str]:
        """Return a chart's picture and caption; nothing where there is none."""
        if name is None or name not in self.files:
            return []
        return [f"![{escape(self.alt[name])}]({quote(self.files[name])})", *filter(None, [escape(caption)])]


def markdown(document: Document, pictures: Pictures) -> str:
    """Return the text."""
    blocks = [f"# {escape(document.title)}"]
    if document.question:
        blocks.append(f"*{escape(document.question)}*")
    for own in by_section(document, pictures).values():
        blocks += own
    blocks += [f"*{escape(pictures.note)}*"] if pictures.note else []
    return "\n\n".join(blocks) + "\n"


def by_section(document: Document, pictures: Pictures) -> dict[str, list[str]]:
    """Return the blocks of text of each section that is shown."""
    writers: dict[str, Callable[[Document, Pictures], list[str]]] = {
        "answer": _answer,
        "curves": _curves,
        "table": _comparison,
        "samples": _samples,
        "trials": _trials,
        "reproduce": _reproduce,
    }
    return {
        name: _section(sections.section(name, document), pictures)
        if name in sections.NAMES
        else writers[name](document, pictures)
        for name in sections.shown(document)
    }


def escape(text: object) -> str:
    """Make text that comes from data safe in a line or a cell of a table: no markup, formula or link."""
    safe = html.escape(visible(" ".join(str(text).split())), quote=False)
    safe = re.sub(r"([\\`*_\[\]|#~$])", r"\\\1", safe)
    # GitHub makes links of addresses that nothing marks as such, and lists of lines that begin like one.
    safe = re.sub(r":(?=//)|(?<=www)\.", r"\\\g<0>", safe, flags=re.IGNORECASE)
    return re.sub(r"^(\d*)([-+.)])(?=\s|$)", r"\1\\\2", safe)


def _answer(document: Document, pictures: Pictures) -> list[str]:
    fixed = [f"Held fixed: {escape(captions.held_fixed(document))}."] if document.fixed else []
    answers = [f"**{escape(line)}**" for line in document.answer.splitlines()]
    return [*answers, escape(captions.progress(document)), *fixed]


def _curves(document: Document, pictures: Pictures) -> list[str]:
    blocks: list[str] = []
    for index, panel in enumerate(document.panels):
        if drawn := pictures(f"curves-{index}", captions.curves(panel)):
            blocks += [f"### {escape(panel.task)}"] if panel.task else []
            # Where a caption is that of the chart above, it is said once.
            blocks += drawn[:1] if drawn[-1] in blocks[-1:] else drawn
    return ["## Learning curves", *blocks] if blocks else []


def _section(section: Section, pictures: Pictures) -> list[str]:
    """Write pictures and tables; a chart without either is left to the HTML file."""
    blocks = []
    for block in section.blocks:
        own = pictures(block.chart)
        if block.rows:
            cells = [[escape(cell.text) for cell in row] for row in block.rows]
            own.append(_table([escape(column.title) for column in block.columns], cells))
        if own or not block.chart:
            blocks += [f"### {escape(block.title)}"] if block.title else []
            blocks += [*own, escape(block.caption)]
    if not section.blocks:
        blocks = [escape(section.missing)]
    return [f"## {escape(section.title)}", *filter(None, blocks)] if blocks else []


def _comparison(document: Document, pictures: Pictures) -> list[str]:
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
    drawn: list[str] = []
    for index, task in enumerate(document.tasks):
        if chart := pictures(f"intervals-{index}", captions.intervals(document, task)):
            drawn += [f"### {escape(task)}", *chart] if task else chart
    if not rows:
        return []
    return ["## Comparison", *drawn, _table(header, rows), escape(captions.comparison(document))]


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


def _samples(document: Document, pictures: Pictures) -> list[str]:
    blocks = [block for said in document.said[:SHOWN] for block in _last(said)]
    return ["## What the models say at the end of training", *blocks] if blocks else []


def _last(said: Said) -> list[str]:
    last = said.moments[-1]
    words = [sample for sample in last.samples if not isinstance(sample, Series | Map | Matrix)]
    heading = f"{escape(said.label)}, step {last.step:,}"
    if not words:
        return [f"{heading}: drawings, which are in the HTML report."]
    return [f"{heading}:", _fenced("text", "\n".join(views.text(sample).strip() for sample in words))]


def _fenced(language: str, text: str) -> str:
    """Write `text` as it is, in a block that nothing in it can end."""
    fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"{fence}{language}\n{visible(text)}\n{fence}"


def _trials(document: Document, pictures: Pictures) -> list[str]:
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


def _reproduce(document: Document, pictures: Pictures) -> list[str]:
    blocks = ["## How to reproduce"]
    for source in document.sources[:MOST_SOURCES]:
        environment = dict(source.environment)
        command = environment.pop("command", None)
        blocks += [f"### {escape(source.name)}"] if len(document.sources) > 1 else []
        blocks += [_fenced("sh", str(command))] if command else []
        lines = [
            f"- {escape(key)}: {escape(', '.join(texts))}" for key, texts in captions.environment(environment)
        ]
        blocks.append("\n".join(lines) or "Command, commit and versions were not recorded.")
    if (more := len(document.sources) - MOST_SOURCES) > 0:
        blocks.append(f"And {count(more, 'more folder', 'more folders')}.")
    if document.wandb_groups:
        blocks.append(f"W&amp;B group: {escape(', '.join(document.wandb_groups))}")
    return blocks


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
