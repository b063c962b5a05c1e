"""What sections are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from lit_seq.report.captions import edges, signed
from lit_seq.report.document import Document
from lit_seq.report.statistics import Difference


@dataclass
class Column:
    """A column's title, and whether it holds numbers."""

    title: str
    number: bool = True


@dataclass
class Cell:
    """What stands in a table, and what it is sorted by where that is a number."""

    text: str
    value: float | None = None


@dataclass
class Block:
    """A chart, a table, or both.

    Attributes:
        title: heading, where a section has several blocks.
        chart: name of the chart, if there is one.
        columns: of the table; none where there is no table.
        rows: of the table.
        caption: how the numbers were made.
        folded: whether the table says what the chart says.
        axes: whether a reader can choose the chart's axes.
    """

    title: str | None = None
    chart: str | None = None
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)
    caption: str = ""
    folded: bool = False
    axes: bool = False


@dataclass
class Section:
    """A part of the report.

    Attributes:
        name: as `lit_seq.report.plan.SECTIONS` has it.
        title: heading.
        blocks: what it shows; where empty, `missing` says why.
        missing: why there is nothing.
    """

    name: str
    title: str
    blocks: list[Block]
    missing: str


def columns(titles: Sequence[str], numbers: int) -> list[Column]:
    """Return columns of which the last `numbers` hold numbers."""
    return [Column(title, place >= len(titles) - numbers) for place, title in enumerate(titles)]


def task_title(document: Document) -> list[str]:
    """Return the title of the column of tasks, where there is one."""
    return ["Task"] if len(document.tasks) > 1 else []


def task_cell(document: Document, task: str | None) -> list[Cell]:
    """Return the cell of that column, where there is one."""
    return [Cell(task or "")] if len(document.tasks) > 1 else []


def gap_cell(gap: Difference | None) -> Cell:
    """Write a difference with its interval."""
    if gap is None:
        return Cell("–")
    span = (
        f" ({' to '.join(edges(gap))}{'' if gap.paired else ', not paired'})"
        if gap.interval
        else " (no interval)"
    )
    return Cell(signed(gap) + span, gap.mean)
