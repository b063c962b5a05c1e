"""Configurations beside each other, and beside what others found."""

from lit_seq.report.document import Document
from lit_seq.report.sections.block import Block, Cell, Section, columns, gap_cell, task_cell, task_title
from lit_seq.report.statistics import FEWEST, Interval


def published(document: Document) -> Section:
    """Print figures of others, and whether what should come out did."""
    blocks = []
    if document.outcomes:
        rows = [
            [
                Cell(f"{one.ordering.better} better than {one.ordering.worse}"),
                Cell(one.ordering.source),
                *task_cell(document, one.task),
                Cell(one.outcome),
                gap_cell(one.difference),
            ]
            for one in document.outcomes
        ]
        titles = ["What should come out", "Who says so", *task_title(document), "Here", "Difference"]
        caption = (
            "It came out if the 95 % interval of the difference excludes zero on that side; an interval that "
            "includes zero tells nothing."
        )
        blocks.append(Block(None, None, columns(titles, numbers=1), rows, caption))
    if document.published:
        sure = {"read": "read there", "memory": "quoted from memory", "computed": "computed by other code"}
        rows = [
            [Cell(one.what), Cell(one.value), Cell(one.source), Cell(sure[one.sure])]
            for one in document.published
        ]
        blocks.append(
            Block(None, None, columns(["Published", "Figure", "Source", "How sure"], numbers=0), rows)
        )
    return Section("published", "What others found", blocks, "The report file names no published figures.")


def pairs(document: Document) -> Section:
    """Compare configurations two by two."""
    titles = [*task_title(document), "Better", "Worse", "Difference", "Probability of improvement", "Trials"]
    rows = []
    for one in document.pairs:
        sure = "every trial beats every one" if one.probability in (0.0, 1.0) else "no interval"
        edges_of = _span(one.interval, 2) if one.interval else sure
        rows.append(
            [
                *([Cell(one.task or "")] if titles[0] == "Task" else []),
                Cell(one.better),
                Cell(one.worse),
                gap_cell(one.difference),
                Cell(f"{one.probability:.2f} ({edges_of})", one.probability),
                Cell(f"{one.n[0]} and {one.n[1]}", min(one.n)),
            ]
        )
    caption = (
        "Difference: as in the comparison above, over common seeds where there are two at least. "
        "Probability of improvement: that a trial of the better is better than one of the worse, ties "
        "counting half (Mann-Whitney; Agarwal et al. 2021), with its 95 % percentile bootstrap interval "
        f"over seeds, drawn together where both sides have the same; none for fewer than {FEWEST} seeds. Not "
        "corrected for the number of pairs."
    )
    blocks = [Block(None, None, columns(titles, numbers=3), rows, caption)] if rows else []
    return Section("pairs", "Two by two", blocks, "There are no two configurations with a finished trial.")


def profile(document: Document) -> Section:
    """Draw which share of trials is at least so good."""
    several = len(document.tasks) > 1
    caption = "Share of trials at least so good, diverged ones included as never good enough"
    caption += ", each task counting alike, 0 being its worst and 1 its best trial" if several else ""
    caption += (
        ". A curve above another everywhere is better by any statistic (Agarwal et al. 2021). Bands: "
        f"pointwise 95 % percentile bootstrap intervals over trials{' within tasks' if several else ''}, "
        f"from {FEWEST} trials on. The strict end is on the left."
    )
    several_trials = any(one.trials > 2 for one in document.profiles)
    blocks = [Block(None, "profile-0", caption=caption)] if several_trials else []
    return Section("profile", "Performance profile", blocks, "It needs three trials of a configuration.")


def _span(interval: Interval, decimals: int) -> str:
    return " to ".join(f"{edge:.{decimals}f}" for edge in interval)
