"""What every chart is made of."""

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lit_seq.report.wording import count, listing, visible


@dataclass
class Figure:
    """One chart.

    Attributes:
        data: plotly traces.
        layout: plotly layout, without what `lit_seq.report.figures.theme` adds.
        alt: what it shows, for who cannot see it.
        paces: for each further unit of the x axis, what x of each trace is multiplied with: a number, or one
            for each point.
        x: unit that the axis starts with: "step" or one of `paces`.
        rows: number of legend entries, or of lines of a chart of intervals: what its height depends on.
        tall: whether each of `rows` needs a line of its own.
        panels: number of charts above each other that it consists of.
    """

    data: list[dict[str, Any]]
    layout: dict[str, Any]
    alt: str
    paces: dict[str, list[float | list[float]]] = field(default_factory=dict)
    x: str = "step"
    rows: int = 0
    tall: bool = False
    panels: int = 1


def label(text: str, longest: int = 60, lines: int = 1) -> str:
    """Make text safe as a plotly label: plotly reads some HTML in labels, such as links, and formulas.

    Args:
        text: anything.
        longest: the most characters of a line.
        lines: the most lines; a longer text is broken at commas, and lacks its middle if that does not do.
    """
    rows = [""]
    for part in visible(text).split(", "):
        joined = f"{rows[-1]}, {part}" if rows[-1] else part
        if not rows[-1] or len(joined) < longest or len(rows) == lines:
            rows[-1] = joined
        else:
            rows[-1] += ","
            rows.append(part)
    return "<br>".join(html.escape(_cut(row, longest), quote=False) for row in rows).replace("$", "&#36;")


def _cut(text: str, longest: int) -> str:
    """Take out the middle of a text that is too long: what tells two apart often stands at their end."""
    half = (longest - 1) // 2
    return text if len(text) <= longest else f"{text[: longest - 1 - half]}…{text[-half:]}"


def named(labels: Sequence[str], most: int = 6) -> str:
    """List what a chart shows, as far as that can be listened to."""
    others = [count(len(labels) - most, "other")] if len(labels) > most else []
    return listing([*labels[:most], *others])


def rounded(values: Sequence[float], digits: int = 5) -> list[float]:
    """Keep the digits that can be seen: half the size of the file."""
    short = (float(f"{value:.{digits}g}") for value in values)
    return [int(value) if value.is_integer() and abs(value) < 1e9 else value for value in short]


def transparent(colour: str) -> str:
    """Return the colour as a band has it."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.16)"
