"""What it takes: updates until the threshold, and time."""

from lit_seq.report.document import Document
from lit_seq.report.sections.block import Block, Cell, Section, columns, task_cell, task_title
from lit_seq.report.statistics import FEWEST
from lit_seq.report.wording import duration, number


def updates(document: Document) -> Section:
    """Say how long trials need to come to the threshold."""
    blocks = []
    for index, task in enumerate(document.tasks):
        own = [one for one in document.updates if one.task == task]
        if not own:
            continue
        rows = [
            [
                Cell(one.label),
                Cell(f"{one.reached} of {one.trials}", one.reached / one.trials),
                Cell("not reached" if one.median is None else f"{one.median:,}", one.median),
                Cell(f"{one.mean:,.0f}", one.mean),
                Cell("–" if one.interval is None else " to ".join(f"{e:,.0f}" for e in one.interval)),
                Cell(f"{one.diverged} diverged, {one.unfinished} unfinished"),
            ]
            for one in own
        ]
        titles = [
            "Configuration",
            "At the threshold",
            "Median",
            "Restricted mean",
            "95 % interval",
            "Not followed",
        ]
        caption = (
            f"{document.judge.aim}. Updates until a trial first logged that, so no finer than it logs. "
            "Share, median and mean by Kaplan and Meier: a trial that did not come to the threshold is "
            "censored where it was last followed; one that diverged never will, and counts as followed to "
            "the end. A trial that early stopping ended was chosen for being slow, which flatters its "
            f"configuration. Restricted mean: of which no more than {own[0].horizon:,} updates count a "
            f"trial, with its 95 % percentile bootstrap interval over trials; none for fewer than {FEWEST}, "
            "or where all are alike."
        )
        blocks.append(Block(task, f"updates-{index}", columns(titles, numbers=5), rows, caption))
    missing = "It needs a threshold: in the report file, or as target of the sweep's metric."
    return Section("updates", "Updates until the threshold", blocks, missing)


def cost(document: Document) -> Section:
    """Say what was spent."""
    titles = [
        "Configuration",
        *task_title(document),
        "Trials",
        "Time",
        "of it unfinished",
        "Steps",
        "Steps a second",
    ]
    rows = [
        [
            Cell(one.label),
            *task_cell(document, one.task),
            Cell(f"{one.trials:,}", one.trials),
            Cell(duration(one.seconds), one.seconds),
            Cell(duration(one.lost) if one.lost else "–", one.lost),
            Cell(f"{one.steps:,}", one.steps),
            Cell(number(one.steps / one.seconds, 3), one.steps / one.seconds) if one.seconds else Cell("–"),
        ]
        for one in document.cost
    ]
    total = sum(one.seconds for one in document.cost)
    lost = sum(one.lost for one in document.cost)
    caption = (
        f"In all {duration(total)} of "
        f"training{f', of which {duration(lost)} went into trials that did not finish' if lost else ''}, at "
        "all settings that were tried. A packed trial's time is its share of the pack's."
    )
    blocks = [Block(None, None, columns(titles, numbers=5), rows, caption)] if total else []
    return Section("cost", "Cost", blocks, "No trial has trained yet.")
