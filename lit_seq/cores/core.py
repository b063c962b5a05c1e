"""The core contract: sequences of features in, sequences of features out."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

CoreState = Any
"""What a core carries from one chunk of a sequence to the next: tuples of tensors, nested in any way."""


class Core(nn.Module, ABC):
    """What turns (time, batch, features) into (time, batch, features).

    Args:
        input_size: features of an input.

    Attributes:
        input_size: features of an input.
        output_size: features of an output.
        causal: whether an output depends only on inputs up to its own step, so that a state can be
            carried to the next chunk and text can be generated.
    """

    output_size: int
    causal: bool

    values: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments in which stacked trials may differ: those that act through parameters, buffers
    and dropout rates alone."""

    def __init__(self, input_size: int) -> None:
        super().__init__()
        self.input_size = input_size

    @abstractmethod
    def initial_state(self, batch: int) -> CoreState:
        """Return the state before the first step of `batch` sequences."""

    @abstractmethod
    def forward(
        self, inputs: Tensor, state: CoreState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CoreState]:
        """Run along time.

        Args:
            inputs: (time, batch, input).
            state: state after the step before the first; None means `initial_state`.
            lengths: steps that count in each sequence, (batch,) int64; None when all do.

        Returns:
            Outputs, (time, batch, output), zero where padded; and the state after each sequence's last step.
        """

    @abstractmethod
    def summary(self, state: CoreState) -> Tensor:
        """Return what `state` says of the whole sequence, (batch, output)."""

    def attention_weights(self, state: CoreState) -> Tensor | None:
        """Return where the core looked to come to `state`, (batch, …, places); None: it does not look."""
        return None
