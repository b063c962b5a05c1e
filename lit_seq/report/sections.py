"""Sections that every format writes alike: headings, tables and captions, drawn from the document."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from lit_seq.report.captions import edges, signed
from lit_seq.report.configurations import short_names, show
from lit_seq.report.document import Document
from lit_seq.report.heat_map import Square
from lit_seq.report.importance import FEWEST_TRIALS, Importance
from lit_seq.report.statistics import FEWEST, Difference, Interval
from lit_seq.report.wording import count, duration, number


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
    """

    title: str | None = None
    chart: str | None = None
    columns: list[Column] = field(default_factory=list)
    rows: list[list[Cell]] = field(default_factory=list)
    caption: str = ""
    folded: bool = False


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


def section(name: str, document: Document) -> Section:
    """Return a section of `document` by its name."""
    return _WRITERS[name](document)


def shown(document: Document) -> list[str]:
    """Return the sections to show: those that were asked for, else those that have something to show."""
    if document.asked:
        return document.sections
    return [name for name in document.sections if name not in NAMES or section(name, document).blocks]


def _published(document: Document) -> Section:
    blocks = []
    if document.outcomes:
        rows = [
            [
                Cell(f"{one.ordering.better} better than {one.ordering.worse}"),
                Cell(one.ordering.source),
                *_task_cell(document, one.task),
                Cell(one.outcome),
                _gap_cell(one.difference),
            ]
            for one in document.outcomes
        ]
        titles = ["What should come out", "Who says so", *_task_title(document), "Here", "Difference"]
        caption = (
            "It came out if the 95 % interval of the difference excludes zero on that side; an interval that "
            "includes zero tells nothing."
        )
        blocks.append(Block(None, None, _columns(titles, numbers=1), rows, caption))
    if document.published:
        sure = {"read": "read there", "memory": "quoted from memory", "computed": "computed by other code"}
        rows = [
            [Cell(one.what), Cell(one.value), Cell(one.source), Cell(sure[one.sure])]
            for one in document.published
        ]
        blocks.append(
            Block(None, None, _columns(["Published", "Figure", "Source", "How sure"], numbers=0), rows)
        )
    return Section("published", "What others found", blocks, "The report file names no published figures.")


def _pairs(document: Document) -> Section:
    titles = [*_task_title(document), "Better", "Worse", "Difference", "Probability of improvement", "Trials"]
    rows = []
    for one in document.pairs:
        sure = "every trial beats every one" if one.probability in (0.0, 1.0) else "no interval"
        edges_of = _span(one.interval, 2) if one.interval else sure
        rows.append(
            [
                *([Cell(one.task or "")] if titles[0] == "Task" else []),
                Cell(one.better),
                Cell(one.worse),
                _gap_cell(one.difference),
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
    blocks = [Block(None, None, _columns(titles, numbers=3), rows, caption)] if rows else []
    return Section("pairs", "Two by two", blocks, "There are no two configurations with a finished trial.")


def _updates(document: Document) -> Section:
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
            f"trial, with its 95 % percentile bootstrap interval over trials; none for fewer than {FEWEST}."
        )
        blocks.append(Block(task, f"updates-{index}", _columns(titles, numbers=5), rows, caption))
    missing = "It needs a threshold: in the report file, or as target of the sweep's metric."
    return Section("updates", "Updates until the threshold", blocks, missing)


def _heat_map(document: Document) -> Section:
    blocks = []
    for index, grid in enumerate(document.heat_maps):
        short = short_names([grid.x, grid.y])
        titles = [f"{short[grid.y]} \\ {short[grid.x]}", *map(show, grid.columns)]
        rows = [
            [Cell(show(value)), *(_square(square) for square in line)]
            for value, line in zip(reversed(grid.rows), reversed(grid.squares), strict=True)
        ]
        columns = _columns(titles, numbers=len(grid.columns))
        what = "Mean" if document.statistic == "mean" else "Interquartile mean"
        tried = max((s.tried for line in grid.squares for s in line if s), default=1)
        best_of = f", at the best of up to {tried} other settings" if tried > 1 else ""
        caption = (
            f"{what} of {document.judge.words} over the trials that count{best_of}; brighter is better, the "
            "best is bold. Where no trial counts, what became of them."
        )
        blocks.append(Block(grid.task, f"heat_map-{index}", columns, rows, caption, folded=True))
    return Section(
        "heat_map", "Two settings at once", blocks, "It needs two settings that take a few values each."
    )


def _coordinates(document: Document) -> Section:
    caption = (
        f"A line is a trial, from setting to setting to its {document.judge.words}; brighter and thicker is "
        "better, dotted did not finish. Numbers that span more than a power of ten stand on a logarithmic "
        "axis."
    )
    blocks = [
        Block(traced.task, f"coordinates-{index}", caption=caption)
        for index, traced in enumerate(document.coordinates)
    ]
    return Section(
        "coordinates", "All trials", blocks, "It needs two settings that vary, and two trials that count."
    )


def _importance(document: Document) -> Section:
    told = [(index, one) for index, one in enumerate(document.importance) if one.shares]
    blocks = []
    for index, one in told:
        rows = [[Cell(key), Cell(f"{share:.1%}", share)] for key, share in one.shares.items()]
        titles = ["Setting", "Share of the variance"]
        blocks.append(
            Block(
                one.task, f"importance-{index}", _columns(titles, numbers=1), rows, _importance_caption(one)
            )
        )
    why = [
        f"{one.trials} complete trials are too few or too alike (at least {FEWEST_TRIALS}, and two settings "
        "that "
        f"vary)" + (f"; {one.survivors} survivors of early stopping are left out" if one.survivors else "")
        for one in document.importance
    ]
    return Section("importance", "Which settings matter", blocks, f"Not computed: {'; '.join(why)}.")


def _importance_caption(one: Importance) -> str:
    drawn = f", drawn from {one.complete:,}" if one.trials < one.complete else ""
    text = (
        "Functional analysis of variance (Hutter et al. 2014) of a random forest over "
        f"{one.trials:,} complete trials{drawn}: the share that each setting explains alone. What is missing "
        "to 100 % is between settings, or chance, seeds included."
    )
    if one.survivors:
        text += (
            f" {count(one.survivors, 'finished trial')} left out: others of their sweep were stopped early, "
            "and survivors make a setting look harmless."
        )
    if one.incomplete:
        text += (
            f" {count(one.incomplete, 'trial')} that did not finish left out; what diverges is missing here."
        )
    return text


def _profile(document: Document) -> Section:
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


def _cost(document: Document) -> Section:
    titles = [
        "Configuration",
        *_task_title(document),
        "Trials",
        "Time",
        "of it unfinished",
        "Steps",
        "Steps a second",
    ]
    rows = [
        [
            Cell(one.label),
            *_task_cell(document, one.task),
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
    blocks = [Block(None, None, _columns(titles, numbers=5), rows, caption)] if total else []
    return Section("cost", "Cost", blocks, "No trial has trained yet.")


_WRITERS: dict[str, Callable[[Document], Section]] = {
    "published": _published,
    "pairs": _pairs,
    "updates": _updates,
    "heat_map": _heat_map,
    "coordinates": _coordinates,
    "importance": _importance,
    "profile": _profile,
    "cost": _cost,
}

NAMES = tuple(_WRITERS)


def _columns(titles: Sequence[str], numbers: int) -> list[Column]:
    """Return columns of which the last `numbers` hold numbers."""
    return [Column(title, place >= len(titles) - numbers) for place, title in enumerate(titles)]


def _task_title(document: Document) -> list[str]:
    return ["Task"] if len(document.tasks) > 1 else []


def _task_cell(document: Document, task: str | None) -> list[Cell]:
    return [Cell(task or "")] if len(document.tasks) > 1 else []


def _gap_cell(gap: Difference | None) -> Cell:
    if gap is None:
        return Cell("–")
    span = (
        f" ({' to '.join(edges(gap))}{'' if gap.paired else ', not paired'})"
        if gap.interval
        else " (no interval)"
    )
    return Cell(signed(gap) + span, gap.mean)


def _span(interval: Interval, decimals: int) -> str:
    return " to ".join(f"{edge:.{decimals}f}" for edge in interval)


def _square(square: Square | None) -> Cell:
    if square is None:
        return Cell("not run")
    if square.value is None:
        return Cell(", ".join(f"{n} {state}" for state, n in square.states.items()))
    return Cell(number(square.value), square.value)
