"""Whether what should come out did."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lit_seq.errors import UserError
from lit_seq.report.plan import Goal, Ordering, Statistic
from lit_seq.report.statistics import Difference, difference
from lit_seq.report.table import Row
from lit_seq.report.wording import listing

Outcome = Literal["came out", "came out the other way", "cannot be told", "not there yet"]


@dataclass
class Outcomes:
    """An ordering, and what became of it.

    Attributes:
        ordering: what should come out.
        task: where; None where all learn the same.
        outcome: by the interval of the difference: one that includes zero tells nothing.
        difference: of the first minus the second; None where one of them has no mean.
    """

    ordering: Ordering
    task: str | None
    outcome: Outcome
    difference: Difference | None


def outcomes(
    orderings: Sequence[Ordering], rows: Sequence[Row], goal: Goal, statistic: Statistic
) -> list[Outcomes]:
    """Compare what should come out with the table, in each task.

    Raises:
        UserError: an ordering names a configuration that no row has.
    """
    labels = list(dict.fromkeys(row.label for row in rows))
    for name in (name for one in orderings for name in (one.better, one.worse)):
        if name not in labels:
            raise UserError(
                f"orderings: there is no configuration {name!r}; the table has {listing(labels)}."
            )
    found = []
    for ordering in orderings:
        for task in dict.fromkeys(row.task for row in rows):
            own = {row.label: row for row in rows if row.task == task}
            if ordering.better in own and ordering.worse in own:
                found.append(
                    _outcome(ordering, task, own[ordering.better], own[ordering.worse], goal, statistic)
                )
    return found


def _outcome(
    ordering: Ordering, task: str | None, better: Row, worse: Row, goal: Goal, statistic: Statistic
) -> Outcomes:
    if better.mean is None or worse.mean is None:
        return Outcomes(ordering, task, "not there yet", None)
    gap = difference(better.by_seed(), worse.by_seed(), statistic)
    if not gap.told_apart:
        return Outcomes(ordering, task, "cannot be told", gap)
    as_said = (gap.mean < 0) == (goal == "minimize")
    return Outcomes(ordering, task, "came out" if as_said else "came out the other way", gap)
