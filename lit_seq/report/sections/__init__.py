"""Sections that every format writes alike: headings, tables and captions, drawn from the document."""

from collections.abc import Callable

from lit_seq.report.document import Document
from lit_seq.report.sections.block import Section
from lit_seq.report.sections.comparison import pairs, profile, published
from lit_seq.report.sections.effort import cost, updates
from lit_seq.report.sections.inside import gradient_flow
from lit_seq.report.sections.settings import coordinates, heat_map, importance

_WRITERS: dict[str, Callable[[Document], Section]] = {
    "published": published,
    "pairs": pairs,
    "updates": updates,
    "heat_map": heat_map,
    "coordinates": coordinates,
    "importance": importance,
    "profile": profile,
    "gradient_flow": gradient_flow,
    "cost": cost,
}
NAMES = tuple(_WRITERS)


def section(name: str, document: Document) -> Section:
    """Return a section of `document` by its name."""
    return _WRITERS[name](document)


def shown(document: Document) -> list[str]:
    """Return the sections to show: those that were asked for, else those that have something to show."""
    if document.asked:
        return document.sections
    return [name for name in document.sections if name not in NAMES or section(name, document).blocks]
