"""Which implementation scans a cell, and why."""

from collections.abc import Callable
from functools import partial
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import Cell
from lit_seq.cells.elman import Elman
from lit_seq.cells.feed_forward import FeedForward
from lit_seq.cells.gru import GRU
from lit_seq.cells.leaky import Leaky
from lit_seq.cells.lstm import LSTM
from lit_seq.cells.min_gru import MinGRU
from lit_seq.cells.skip import Skip
from lit_seq.scan import (
    elman,
    gpu,
    gru,
    in_turn,
    leaky,
    library,
    lstm,
    memoryless,
    min_gru,
    native,
    reference,
    skip,
)
from lit_seq.scan.activations import ACTIVATIONS

Run = Callable[..., tuple[Tensor, Any]]

OPERATORS: dict[Callable[..., Any] | None, Run] = {
    Elman.step: elman.run,
    FeedForward.step: memoryless.run,
    GRU.step: gru.run,
    Leaky.step: leaky.run,
    LSTM.step: lstm.run,
    MinGRU.step: min_gru.run,
    Skip.step: skip.run,
}
"""Fused operator of each update rule; a subclass with a rule of its own has none."""

NATIVE: dict[Callable[..., Any] | None, Run] = {
    Elman.step: native.elman.run,
    GRU.step: native.gru.run,
    Leaky.step: native.leaky.run,
    LSTM.step: native.lstm.run,
    Skip.step: skip.run_native,
}
"""The same in C++, for the CPU."""

_GPU: dict[Callable[..., Any] | None, tuple[Run, str]] = {
    Elman.step: (elman.run, "elman"),
    GRU.step: (gru.run, "gru"),
    LSTM.step: (lstm.run, "lstm"),
}
"""Operators that can have their loops in Triton, for stacked trials on a GPU."""


class Choice(NamedTuple):
    """An implementation.

    Attributes:
        name: "native": our operator in C++; "triton": in Triton; "library": torch's own kernel; "fused": our
            operator in torch's operations; "loop": the plain loop over `step`.
        run: (cell, inputs, state, valid) ↦ (outputs, final state), from the first step to the last.
        reason: why it is this one.
    """

    name: Literal["native", "triton", "library", "fused", "loop"]
    run: Run
    reason: str


def implementation(cell: Cell[Any], inputs: Tensor, lengths: Tensor | None = None) -> Choice:
    """Return which implementation `scan` uses for these arguments here, inside or outside of vmap."""
    kind = type(cell)
    operator = OPERATORS.get(getattr(cell.step, "__func__", None))
    if operator is None or kind.output is not Cell.output:
        return _loop(f"{kind.__name__.removeprefix('Parametrized')} has an update rule without an operator")
    transforms = _transforms()
    if transforms not in ([], [torch._C._functorch.TransformType.Vmap]):
        return _loop("torch.func transforms, one vmap apart, need plain operations")
    if isinstance(cell, Elman | Leaky | Skip):
        phi = ACTIVATIONS.get(cell.activation)
        if phi is None:
            return _loop(f"the operators have no {cell.activation}")
        if lengths is not None and phi.closed is None:
            return _loop(f"a {cell.activation} recurrence may overflow in the padding")
    if transforms and (without_gpu := _without_gpu(cell)) is None:
        run, name = _GPU[kind.step]
        reason = "in Triton each trial has multiprocessors of its own, through all steps in one launch"
        if cell.hidden_size > gpu.LARGEST:
            reason = "Triton does in one kernel a step what follows the product"
        return Choice("triton", partial(run, loops=gpu.loops(name, cell.hidden_size)), reason)
    without = _without_native(cell)
    if without is None and not transforms and _better_by_onednn(cell, inputs):
        return Choice("library", library.run, "oneDNN is the faster for one float32 LSTM of this size")
    if without is None:
        return Choice(
            "native", NATIVE[kind.step], f"C++ with {native.instructions()} is the fastest on a CPU"
        )
    if transforms and inputs.device.type == "cpu" and (why := library.reason(cell, inputs)) is not None:
        return Choice("library", in_turn.run, f"{why}, and each core takes a trial; {without}")
    if transforms:
        why = without if inputs.device.type == "cpu" else without_gpu
        return Choice("fused", operator, f"one operator serves all stacked trials; {why}")
    if (why := library.reason(cell, inputs)) is not None:
        return Choice("library", library.run, f"{why}; {without}")
    return Choice("fused", operator, f"torch has no kernel for this cell, or a slower one; {without}")


def _without_native(cell: Cell[Any]) -> str | None:
    """Return why a cell that has an operator cannot take the native one; None where it can."""
    if type(cell).step not in NATIVE:
        return f"there is no native {type(cell).__name__}"
    weight: Any = cell.weight_recurrent
    if type(cell).project is not AffineCell.project:
        return "the native operators have no projection but W x + b"
    if weight.device.type != "cpu":
        return "the native operators are for the CPU"
    if weight.dtype not in (torch.float32, torch.float64):
        return f"the native operators are not for {weight.dtype}"
    if isinstance(cell, Skip) and len(cell.delays) > 1:
        return "the native operators have edges of one length"
    if (missing := _missing_form(cell)) is not None:
        return f"the native operators have no {missing}"
    why = native.unavailable()
    return None if why is None else f"no native operators: {why}"


def _without_gpu(cell: Cell[Any]) -> str | None:
    """Return why stacked trials of a cell that has an operator cannot take its Triton kernels, or None."""
    if type(cell).step not in _GPU:
        return f"there is no Triton kernel for {type(cell).__name__}"
    if (missing := _missing_form(cell)) is not None:
        return f"the Triton kernels have no {missing}"
    if isinstance(cell, Elman) and cell.hidden_size > gpu.LARGEST:
        return f"more than {gpu.LARGEST} units of an Elman net have one operation behind the product"
    weight: Any = cell.weight_recurrent
    return gpu.unavailable(weight)


def _missing_form(cell: Cell[Any]) -> str | None:
    """Return what neither C++ nor Triton has of a cell's forms; None where they have what it takes."""
    match cell:
        case Elman() | Leaky() | Skip() if cell.activation not in ("tanh", "relu"):
            return cell.activation
        case LSTM() if cell.weight_peephole is not None:
            return "peepholes"
        case GRU(reset="before"):
            return "reset before the product"
    return None


def _better_by_onednn(cell: Cell[Any], inputs: Tensor) -> bool:
    """Return whether torch's kernel for an LSTM beats the native one, as benchmarks/operators.py measures.

    It does where U does not fit a core's cache, where too few rows share the reading of W and U, where a
    vector of units is padded, and, unless inputs are few, with the 16 registers of AVX2.
    """
    if not isinstance(cell, LSTM) or library.reason(cell, inputs) is None:
        return False
    if native.instructions() != "AVX-512":
        return True
    return cell.hidden_size > 256 or cell.hidden_size % 16 != 0 or inputs.shape[1] < 32


def _loop(reason: str) -> Choice:
    return Choice("loop", reference.run, reason)


def _transforms() -> list[Any]:
    """Return the torch.func transforms that this code runs under, outermost first.

    torch has no public name for this. Under vmap library kernels fail or fall back to a loop; under grad
    and jvp a tensor is differentiated by another engine than the one that operators are written for.
    """
    return [interpreter.key() for interpreter in torch._C._functorch.get_interpreter_stack() or ()]
