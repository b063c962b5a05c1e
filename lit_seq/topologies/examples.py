"""Held-out examples in a form that a person can look at."""

from typing import Any

from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.pictures import data_uri
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary

EXAMPLES = 6
"""How many are shown."""


def steps(batch: Batch, row: int) -> Tensor:
    """Return the inputs of one example, without padding."""
    inputs = batch.inputs[row]
    return inputs if batch.lengths is None else inputs[: int(batch.lengths[row])]


def shown_inputs(task: Task, batch: Batch) -> list[tuple[str, str | None]]:
    """Return each input of a batch as text, "" where it is a picture, and as a picture where it is one.

    Args:
        task: what the inputs are.
        batch: the batch.
    """
    inputs = [steps(batch, row) for row in range(len(batch.inputs))]
    match task.inputs:
        case "tokens" if task.vocabulary is not None:
            vocabulary = Vocabulary.from_dict(task.vocabulary)
            return [(vocabulary.decode(one), None) for one in inputs]
        case "tokens":
            return [(" ".join(map(str, one.tolist())), None) for one in inputs]
        case "vector":
            return [(in_words(one.tolist()), None) for one in inputs]
        case "vectors":
            return [(f"{len(one)} steps of {task.input_size} features", None) for one in inputs]
        case _:
            return [("", data_uri(one)) for one in inputs]


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
