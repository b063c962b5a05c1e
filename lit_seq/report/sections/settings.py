"""What settings do."""

from lit_seq.report.configurations import short_names, show
from lit_seq.report.document import Document
from lit_seq.report.heat_map import Square
from lit_seq.report.importance import FEWEST_TRIALS, Importance
from lit_seq.report.sections.block import Block, Cell, Section, columns
from lit_seq.report.wording import count, number


def heat_map(document: Document) -> Section:
    """Show two settings against each other."""
    blocks = []
    for index, grid in enumerate(document.heat_maps):
        short = short_names([grid.x, grid.y])
        titles = [f"{short[grid.y]} \\ {short[grid.x]}", *map(show, grid.columns)]
        rows = [
            [Cell(show(value)), *(_square(square) for square in line)]
            for value, line in zip(reversed(grid.rows), reversed(grid.squares), strict=True)
        ]
        what = "Mean" if document.statistic == "mean" else "Interquartile mean"
        tried = max((s.tried for line in grid.squares for s in line if s), default=1)
        best_of = f", at the best of up to {tried} other settings" if tried > 1 else ""
        caption = (
            f"{what} of {document.judge.words} over the trials that count{best_of}; brighter is better, the "
            "best is bold. Where no trial counts, what became of them."
        )
        blocks.append(
            Block(
                grid.task, f"heat_map-{index}", columns(titles, len(grid.columns)), rows, caption, folded=True
            )
        )
    return Section(
        "heat_map", "Two settings at once", blocks, "It needs two settings that take a few values each."
    )


def coordinates(document: Document) -> Section:
    """Show every trial with its settings."""
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


def importance(document: Document) -> Section:
    """Say which settings decide."""
    told = [(index, one) for index, one in enumerate(document.importance) if one.shares]
    blocks = []
    for index, one in told:
        rows = [[Cell(key), Cell(f"{share:.1%}", share)] for key, share in one.shares.items()]
        titles = ["Setting", "Share of the variance"]
        blocks.append(
            Block(one.task, f"importance-{index}", columns(titles, numbers=1), rows, _importance_caption(one))
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


def _square(square: Square | None) -> Cell:
    if square is None:
        return Cell("not run")
    if square.value is None:
        return Cell(", ".join(f"{n} {state}" for state, n in square.states.items()))
    return Cell(number(square.value), square.value)
