"""Held-out examples in a form that a person can look at."""

from typing import Any

from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary

EXAMPLES = 6
"""How many are shown."""


def first(batch: Batch, examples: int) -> Batch:
    """Return the first examples of a batch of sequences."""
    lengths = None if batch.lengths is None else batch.lengths[:examples]
    return Batch(batch.inputs[:examples], batch.targets[:examples], lengths)


def steps(batch: Batch, row: int) -> Tensor:
    """Return the inputs of one example, without padding."""
    inputs = batch.inputs[row]
    return inputs if batch.lengths is None else inputs[: int(batch.lengths[row])]


def words(task: Task, inputs: Tensor) -> list[str]:
    """Return a word for each step of an example."""
    if task.inputs == "tokens" and task.vocabulary is not None:
        vocabulary = Vocabulary.from_dict(task.vocabulary)
        return [vocabulary.decode(token) for token in inputs.unsqueeze(-1)]
    if task.inputs == "frames":
        return [str(step) for step in range(len(inputs))]
    return [in_words(step) for step in inputs.tolist()]


def in_words(answer: Any) -> str:
    """Return a class, value or list of them as text, numbers with three digits."""
    if isinstance(answer, float):
        return f"{answer:.3g}"
    if isinstance(answer, list | tuple):
        return f"({', '.join(in_words(one) for one in answer)})"
    return str(answer)
