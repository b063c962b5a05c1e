"""Sentences whose tokens have classes, as a person reads them."""

from collections.abc import Sequence

from torch import Tensor

from lit_seq.data.batch import IGNORED
from lit_seq.data.task import Task
from lit_seq.topologies.examples import words


def tokens_of(task: Task, inputs: Tensor, targets: Sequence[int]) -> tuple[list[str], list[int]]:
    """Return a sentence's tokens, and at which step the class of each stands.

    Where tokens are read as characters, a class stands at a token's last one (`lit_seq.data.Sentences`).

    Args:
        task: what the data offers, tokens with a class each.
        inputs: the steps of the sentence, (steps,) int64.
        targets: the class of each, `IGNORED` where there is none.
    """
    symbols = words(task, inputs)
    steps = list(range(len(symbols)))
    ends = [step for step in steps if symbols[step] != " " and symbols[step + 1 : step + 2] in ([], [" "])]
    of_characters = task.vocabulary is not None and task.vocabulary["unit"] == "character"
    if not of_characters or any(targets[step] != IGNORED for step in set(steps) - set(ends)):
        return symbols, steps
    starts = [0, *(end + 1 for end in ends)]
    return ["".join(symbols[start : end + 1]).strip() for start, end in zip(starts, ends, strict=False)], ends
