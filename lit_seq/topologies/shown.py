"""Inputs as a person sees them."""

from lit_seq.data.batch import Batch
from lit_seq.data.pictures import data_uri
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.topologies.examples import in_words, steps


def shown_input(task: Task, batch: Batch, row: int) -> tuple[str, str | None]:
    """Return one input of a batch as text, "" where it is a picture, and as a picture where it is one.

    Args:
        task: what the inputs are.
        batch: the batch.
        row: which of its inputs.
    """
    inputs = steps(batch, row)
    match task.inputs:
        case "tokens" if task.vocabulary is not None:
            return Vocabulary.from_dict(task.vocabulary).decode(inputs), None
        case "tokens":
            return " ".join(map(str, inputs.tolist())), None
        case "vector":
            return in_words(inputs.tolist()), None
        case "vectors":
            return f"{len(inputs)} steps of {task.input_size} features", None
        case _:
            return "", data_uri(inputs)
