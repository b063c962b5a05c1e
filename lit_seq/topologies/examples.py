"""Held-out examples in a form that a person can look at."""

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.pictures import data_uri
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.samples import Answer, Sample

EXAMPLES = 6
"""How many are shown."""


def first(batches: Iterable[Batch]) -> Batch | None:
    """Return the first examples of the first batch; None where there is none."""
    batch = next(iter(batches), None)
    return None if batch is None else batch.of(slice(EXAMPLES))


def answered(task: Task, batch: Batch, rows: Sequence[dict[str, Any]]) -> list[Sample]:
    """Return one answer to each input as a person sees it.

    Args:
        task: what the inputs are.
        batch: the inputs.
        rows: the "prediction" and the "target" of each.
    """
    return [
        Answer(text, in_words(row["target"]), in_words(row["prediction"]), image)
        for (text, image), row in zip(shown_inputs(task, batch), rows, strict=True)
    ]


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
