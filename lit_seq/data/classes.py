"""Labels of a table as numbers of classes."""

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any

from lit_seq.data.batch import IGNORED
from lit_seq.data.module import Split
from lit_seq.data.source import Source
from lit_seq.errors import UserError


def numbered_classes(
    source: Source, column: str, feature: Any, labels: Mapping[Split, Collection[Any]]
) -> tuple[tuple[str, ...], dict[Any, int]]:
    """Return the names of the classes, and the number of each label that there may be.

    Integers and texts are numbered in their order; a label that is missing (None, or -1 of a class label of
    `datasets`) has the number `IGNORED`.

    Args:
        source: where the labels are from.
        column: the column that holds them.
        feature: its feature, which has the names of the classes where it is a class label of `datasets`.
        labels: those of each split, "train" at least.

    Raises:
        UserError: a label is neither integer nor text, or is not among those to train on.
    """
    names = getattr(feature, "names", None)
    if names is not None:
        numbers = {None: IGNORED, -1: IGNORED} | {number: number for number in range(len(names))}
    else:
        for label in chain.from_iterable(labels.values()):
            if not isinstance(label, int | str | None):
                raise UserError(
                    f"column {column} of {source} holds {label!r}; classes are integers or texts."
                )
        ordered = sorted(set(labels["train"]) - {None}, key=lambda label: (isinstance(label, str), label))
        names = [str(label) for label in ordered]
        numbers = {None: IGNORED} | {label: number for number, label in enumerate(ordered)}
    for split, of_split in labels.items():
        for label in of_split:
            if label not in numbers:
                raise UserError(
                    f"label {label!r} of {source} is in {split}; train has only {', '.join(names)}."
                )
    return tuple(names), numbers
