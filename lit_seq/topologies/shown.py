"""Inputs as a person sees them."""

from lit_seq.data.batch import Batch
from lit_seq.data.pictures import data_uri
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.topologies.examples import in_words, steps


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
