"""The answer in a sentence or two, drawn from the table and from nothing else."""

from collections.abc import Sequence

from lit_seq.report.plan import Goal
from lit_seq.report.score import Judge
from lit_seq.report.statistics import Difference
from lit_seq.report.table import Row
from lit_seq.report.wording import alike, count, listing, number


def answer(rows: Sequence[Row], judge: Judge) -> str:
    """Say which configuration is best, by how much, and whether that can be told from chance.

    Args:
        rows: the table, best mean first; of several tasks one after the other, each gets a line.
        judge: how the trials are judged.
    """
    names = list(dict.fromkeys(row.task for row in rows))
    if len(names) > 1:
        told = [f"{name}: {answer([row for row in rows if row.task == name], judge)}" for name in names]
        return "\n".join(told)
    ranked = [row for row in rows if row.mean is not None]
    if not ranked:
        best = rows[0] if rows else None
        so_far = (
            f" The best so far: {_reached(number(best.so_far), judge)} ({_called(best)})."
            if best is not None and best.so_far is not None
            else ""
        )
        return f"No trial has finished, so there is nothing to compare yet.{so_far}"
    leader = ranked[0]
    if len(ranked) == 1:
        alone = "It is the only configuration with a finished trial." if len(rows) > 1 else ""
        sentences = [f"{_called(leader)} reaches {_value(leader, judge)}.", alone, _caveats([leader])]
    else:
        goal = judge.direction
        sentences = [_lead(ranked, judge), _behind(ranked, goal), _absent(rows), _caveats(ranked[:2])]
    return " ".join(filter(None, sentences))


def _lead(ranked: Sequence[Row], judge: Judge) -> str:
    leader, second = ranked[:2]
    goal = judge.direction
    gap = second.difference
    assert gap is not None
    if _clearly_worse(gap, goal):
        side = "below" if goal == "minimize" else "above"
        return (
            f"{_called(leader)} is best: {_value(leader, judge)}, "
            f"{_size(gap)} {side} {_called(second)}, the next {_basis(gap)}."
        )
    start = f"{_called(leader)} has the best mean, {_value(leader, judge)}, but "
    if gap.interval is None:
        return (
            f"{start}whether it beats {_called(second)} cannot be told: the difference is {_size(gap)}, "
            "and seeds are too few for an interval."
        )
    if gap.told_apart:
        return (
            f"{start}over the seeds that both have, {_called(second)} is ahead by {_size(gap)} {_basis(gap)}."
        )
    return (
        f"{start}cannot be told apart from {_called(second)}: "
        f"the difference is {_size(gap)} {_basis(gap)}, which includes zero."
    )


def _behind(ranked: Sequence[Row], goal: Goal) -> str:
    """Name the further configurations that are worse than the best by more than chance."""
    leader, others = ranked[0], ranked[2:]
    behind = [(row, gap) for row in others if (gap := row.difference) and _clearly_worse(gap, goal)]
    if not behind:
        return ""
    if len(others) > 4:
        which = f"All {len(others)}" if len(others) == len(behind) else f"{len(behind)} of the {len(others)}"
        return (
            f"{which} further configurations are worse than {leader.label} by an interval that excludes zero "
            f"(not corrected for {len(others)} comparisons)."
        )
    parts = [f"{_called(row)}, by {_size(gap)} ({_range(gap)})" for row, gap in behind]
    return f"Clearly behind {leader.label}: {'; '.join(parts)}."


def _absent(rows: Sequence[Row]) -> str:
    """Name the configurations that nothing can be said of."""
    absent = [row.label for row in rows if row.mean is None]
    if not absent:
        return ""
    which = listing(absent) if len(absent) <= 4 else count(len(absent), "configuration")
    return f"Not compared, as no trial counts: {which}."


def _clearly_worse(gap: Difference, goal: Goal) -> bool:
    """Whether a configuration is worse than the best by more than chance.

    The best has the best mean over its own seeds; over common seeds it may be the other way round.
    """
    return gap.told_apart and (gap.mean > 0) == (goal == "minimize")


def _caveats(rows: Sequence[Row]) -> str:
    """Say what weakens a statement about `rows`."""
    sentences = []
    for row in rows:
        lost = {state: n for state, n in row.states.items() if state != "finished"}
        silent = row.states.get("finished", 0) - row.counted
        if row.counted < row.trials:
            why = [f"{n} {state}" for state, n in lost.items()]
            why += [f"{silent} finished without logging it"] if silent else []
            sentences.append(
                f"{_called(row)} counts {row.counted} of {count(row.trials, 'trial')} ({listing(why)})."
            )
    if edges := [f"{row.label}, {listing(row.at_edge)}" for row in rows if row.at_edge]:
        sentences.append(f"The best may lie beyond what was tried: of {'; of '.join(edges)}.")
    fewest = min(row.counted for row in rows)
    if fewest == 1:
        sentences.append("One seed says nothing about chance: repeat with at least five.")
    elif fewest == 2:
        sentences.append("Two seeds are weak evidence: repeat with at least five.")
    return " ".join(sentences)


def _called(row: Row) -> str:
    return row.label if row.settings is None else f"{row.label} (at {row.settings}, best of {row.tried})"


def _value(row: Row, judge: Judge) -> str:
    of = f"of {row.counted} {'trials' if None in row.seeds else 'seeds'}"
    mean = "mean" if row.statistic == "mean" else "interquartile mean"
    if row.interval is not None:
        basis = f"{mean} {of}, 95 % interval {number(row.interval.low)} to {number(row.interval.high)}"
    elif row.counted == 1:
        basis = "one seed, so no interval"
    else:
        basis = f"{mean} {of}, too few for an interval"
    return f"{_reached(number(row.mean), judge)} ({basis})"


def _reached(value: str, judge: Judge) -> str:
    return f"{value} {judge.words}" if judge.by == "updates" else f"{judge.words} {value}"


def _size(gap: Difference) -> str:
    if gap.interval is None:
        return number(abs(gap.mean), 3)
    return alike([abs(gap.mean)], gap.interval.high - gap.mean)[0]


def _range(gap: Difference) -> str:
    """Write the interval of the size of the difference."""
    assert gap.interval is not None
    edges = sorted(edge if gap.mean >= 0 else -edge for edge in gap.interval)
    return " to ".join(alike(edges, gap.interval.high - gap.mean))


def _basis(gap: Difference) -> str:
    how = f"paired over {gap.n} common seeds" if gap.paired else "seeds not paired"
    return f"(95 % interval {_range(gap)}, {how})"
