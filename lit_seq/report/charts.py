"""The charts of a report, by name."""

from collections.abc import Collection

from lit_seq.report import figures
from lit_seq.report.document import Document
from lit_seq.report.figures.figure import Figure
from lit_seq.report.style import Style, styles


def own_styles(document: Document) -> dict[str, Style]:
    """Return how each configuration is drawn, by label."""
    names = list(dict.fromkeys(row.label for row in document.rows))
    return dict(zip(names, styles(len(names)), strict=True))


def section_of(name: str) -> str:
    """Return the section that shows a chart."""
    kind = name.rpartition("-")[0] or name
    return {"intervals": "table"}.get(kind, kind)


def charts(document: Document, shown: Collection[str]) -> dict[str, Figure]:
    """Return the charts of the sections that are shown.

    Args:
        document: the report.
        shown: names of sections.

    Returns:
        By name: the section's, a dash and a number; "intervals" are those of the table.
    """
    judge, styles = document.judge, own_styles(document)
    drawn: dict[str, list[Figure | None]] = {
        "curves": [figures.learning_curves(panel, styles, document.x) for panel in document.panels],
        "intervals": [
            figures.intervals([row for row in document.rows if row.task == task], judge.title, styles)
            for task in document.tasks
        ],
        "updates": [
            figures.updates([one for one in document.updates if one.task == task], styles)
            for task in document.tasks
        ],
        "heat_map": [figures.heat_map(grid, judge.direction) for grid in document.heat_maps],
        "coordinates": [
            figures.parallel_coordinates(traced, judge.title, judge.direction)
            for traced in document.coordinates
        ],
        "importance": [figures.importance(one) if one.shares else None for one in document.importance],
        "profile": [
            figures.profiles(document.profiles, judge.title, judge.direction, styles, len(document.tasks))
        ],
        "gradient_flow": [
            *(figures.gradient_flow(flow, styles) for flow in document.flows),
            *(figures.learning_curves(panel, styles, document.x) for panel in document.inside),
        ],
    }
    return {
        f"{name}-{index}": figure
        for name, of_section in drawn.items()
        if section_of(name) in shown
        for index, figure in enumerate(of_section)
        if figure is not None
    }
