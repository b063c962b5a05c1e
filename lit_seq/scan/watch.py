"""A view into the loop, for those who differentiate by the states of a scan."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from lit_seq.cells.cell import Cell


class Unwatchable(Exception):
    """A cell is scanned twice, or along another batch than is watched."""


class Scanned(NamedTuple):
    """What a scan went through.

    Attributes:
        values: the cell's parameters and buffers, by name.
        inputs: (time, batch, input), in the order of the scan.
        states: the state before each step, each part (time, batch, features).
    """

    values: dict[str, Tensor]
    inputs: Tensor
    states: Any


class Watch:
    """Adds to the states of a cell's one scan, and keeps what it went through.

    Args:
        cell: the cell.
        nudges: what is added to the state after each step, (time, batch, features) for each part that is no
            counter.
    """

    def __init__(self, cell: Cell[Any], nudges: Sequence[Tensor]) -> None:
        self._cell = cell
        self._nudges = [of_part.unbind(0) for of_part in nudges]
        self._shape = nudges[0].shape[:2]
        self._values: dict[str, Tensor] = {}
        self._inputs: Tensor | None = None
        self._states: list[Any] = []

    @property
    def scanned(self) -> Scanned | None:
        """What the scan went through; None if there was none."""
        if self._inputs is None:
            return None
        states = type(self._states[0])(*map(torch.stack, zip(*self._states, strict=True)))
        return Scanned(self._values, self._inputs, states)

    def begin(self, inputs: Tensor) -> Callable[[Any, Any], Any]:
        """Return what the loop calls in the place of `Cell.step`.

        Args:
            inputs: (time, batch, input).

        Raises:
            Unwatchable: it is not the first scan, or not one of the time and batch of the nudges.
        """
        if self._inputs is not None or inputs.shape[:2] != self._shape:
            raise Unwatchable
        self._inputs = inputs
        # Copied: what stands in for a parameter, as dropout's and vmap's do, goes with the call.
        self._values = {**dict(self._cell.named_parameters()), **dict(self._cell.named_buffers())}
        return self._step

    def _step(self, projected: Tensor, state: Any) -> Any:
        nudges = iter([of_part[len(self._states)] for of_part in self._nudges])
        self._states.append(state)
        after = self._cell.step(projected, state)
        return type(state)(*(part + next(nudges) if part.is_floating_point() else part for part in after))


class OneStep(nn.Module):
    """One step of a cell as the module that `torch.func.functional_call` needs.

    Args:
        cell: the cell, whose parameters and buffers are named behind "cell.".
    """

    def __init__(self, cell: Cell[Any]) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: Tensor, state: Any) -> Any:
        """Return the state after a step, of inputs (batch, input) and the state before it."""
        return self.cell.step(self.cell.project(inputs), state)


def features(state: Any) -> list[Tensor]:
    """Return the parts of a state that are no counters."""
    return [part for part in state if part.is_floating_point()]


_watches: ContextVar[Mapping[Cell[Any], Watch] | None] = ContextVar("watches", default=None)


@contextmanager
def watching(watches: Mapping[Cell[Any], Watch]) -> Iterator[None]:
    """Watch the plain loops over these cells."""
    token = _watches.set(watches)
    try:
        yield
    finally:
        _watches.reset(token)


def step_of(cell: Cell[Any], inputs: Tensor) -> Callable[[Any, Any], Any]:
    """Return what a loop over `inputs` (time, batch, input) calls at each step: `Cell.step`, or its watch."""
    watch = (_watches.get() or {}).get(cell)
    return cell.step if watch is None else watch.begin(inputs)
