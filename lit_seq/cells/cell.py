"""The cell contract: one update rule, without time."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

StateT = TypeVar("StateT", bound=tuple[Tensor, ...])


class HiddenState(NamedTuple):
    """State of a cell whose only memory is its output.

    Attributes:
        h: hidden state, (batch, hidden).
    """

    h: Tensor


class Cell(nn.Module, ABC, Generic[StateT]):
    """One recurrent update rule h_t = f(h_{t-1}, x_t).

    A cell knows nothing of time, of other trials or of Lightning: `lit_seq.scan.scan` runs it along a
    sequence. A new cell needs `project`, `step` and `state_type` to work in every core and topology.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
    """

    state_type: type[StateT]

    values: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments that act through parameters and buffers alone, so that trials which differ in
    them can be stacked. What else differs, stacks not: it would change the function itself."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        for name, size in (("input_size", input_size), ("hidden_size", hidden_size)):
            if size < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {size}; it must be at least 1.")
        self.input_size = input_size
        self.hidden_size = hidden_size

    @abstractmethod
    def project(self, inputs: Tensor) -> Tensor:
        """Do the work that needs no state, for all steps at once.

        Args:
            inputs: (…, input); usually (time, batch, input).

        Returns:
            (…, gates·hidden), or whatever else `step` takes a slice of.
        """

    def project_padded(self, inputs: Tensor, valid: Tensor | None) -> Tensor:
        """Do the work of `project` where some steps may be padding.

        Only a cell that looks across sequences, such as for the statistics of a batch, has use for this.

        Args:
            inputs: (time, batch, input), zero at padding.
            valid: (time, batch, 1) bool, False at padding, which comes last; None without padding.
        """
        return self.project(inputs)

    @abstractmethod
    def step(self, projected: Tensor, state: StateT) -> StateT:
        """Apply the recurrence once.

        Args:
            projected: this step's slice of `project`'s result, (batch, …).
            state: state after the previous step.

        Returns:
            The state after this step.
        """

    @abstractmethod
    def reset_parameters(self) -> None:
        """Draw all parameters anew from torch's global generator."""

    def output(self, state: StateT) -> Tensor:
        """Return what the next layer sees of `state`, (…, hidden); a loop asks for all steps at once."""
        return state[0]

    def initial_state(self, batch: int) -> StateT:
        """Return the all-zero state for `batch` sequences."""
        parameter = next(self.parameters())
        zeros = torch.zeros(batch, self.hidden_size, dtype=parameter.dtype, device=parameter.device)
        fields: Any = self.state_type
        return fields(*(zeros for _ in fields._fields))
