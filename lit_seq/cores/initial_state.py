"""States before the first step that are trained."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor


def trainable(state: tuple[Tensor, ...]) -> list[Tensor]:
    """Return the features of a cell's state of one sequence, each (features,); its counters stay out."""
    return [field.squeeze(0) for field in state if field.is_floating_point()]


def trained(state: Any, learned: Iterator[Tensor]) -> Any:
    """Return a cell's state with its features replaced by the next ones of `learned`."""
    return type(state)(
        *(next(learned).expand_as(field) if field.is_floating_point() else field for field in state)
    )
