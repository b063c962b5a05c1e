"""Which implementation scans a cell, and why."""

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lit_seq.cells.cell import Cell
from lit_seq.cells.elman import Elman
from lit_seq.cells.gru import GRU
from lit_seq.cells.lstm import LSTM
from lit_seq.scan import elman, gru, library, lstm, reference

Run = Callable[..., tuple[Tensor, Any]]

OPERATORS: dict[Callable[..., Any] | None, Run] = {
    Elman.step: elman.run,
    GRU.step: gru.run,
    LSTM.step: lstm.run,
}
"""Fused operator of each update rule; a subclass with a rule of its own has none."""


class Choice(NamedTuple):
    """An implementation.

    Attributes:
        name: "library": torch's own kernel; "fused": our operator; "loop": the plain loop over `step`.
        run: (cell, inputs, state, valid) ↦ (outputs, final state), from the first step to the last.
        reason: why it is this one.
    """

    name: Literal["library", "fused", "loop"]
    run: Run
    reason: str


def implementation(cell: Cell[Any], inputs: Tensor, lengths: Tensor | None = None) -> Choice:
    """Return which implementation `scan` uses for these arguments here, inside or outside of vmap."""
    kind = type(cell)
    operator = OPERATORS.get(getattr(cell.step, "__func__", None))
    if operator is None or kind.output is not Cell.output:
        return _loop(f"{kind.__name__} has an update rule without an operator")
    transforms = _transforms()
    if transforms not in ([], [torch._C._functorch.TransformType.Vmap]):
        return _loop("torch.func transforms, one vmap apart, need plain operations")
    if lengths is not None and isinstance(cell, Elman) and cell.activation == "linear":
        return _loop("a linear recurrence may overflow in the padding")
    if transforms:
        return Choice("fused", operator, "one operator serves all stacked trials")
    if (why := library.reason(cell, inputs)) is not None:
        return Choice("library", library.run, why)
    return Choice("fused", operator, "torch has no kernel for this cell, or a slower one")


def _loop(reason: str) -> Choice:
    return Choice("loop", reference.run, reason)


def _transforms() -> list[Any]:
    """Return the torch.func transforms that this code runs under, outermost first.

    torch has no public name for this. Under vmap library kernels fail or fall back to a loop; under grad
    and jvp a tensor is differentiated by another engine than the one that operators are written for.
    """
    return [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
