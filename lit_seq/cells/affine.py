"""What cells share whose gates are affine in the input and in the previous output."""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.cell import Cell, StateT
from lit_seq.cells.initialisation import Initialisation, initialise


class AffineCell(Cell[StateT]):
    """A cell with the gates W x_t + U h_{t-1} + b, and what the subclass makes of them.

    A subclass's constructor ends with `reset_parameters()`.

    There is one bias a gate, as in the literature; `torch.nn` has two, which changes Adam's steps and the
    clipping norm.

    Attributes:
        gates: number of gates, the blocks of each parameter.
        weight_input: W, (gates·hidden, input).
        weight_recurrent: U, (gates·hidden, hidden).
        bias: b, (gates·hidden,), or None.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        input_init: how W is drawn, gate by gate.
        input_std: standard deviation of W where `input_init` is "normal" or "sparse".
        recurrent_init: how U is drawn, gate by gate.
        recurrent_scale: factor on the drawn U: gain of an orthogonal matrix, diagonal of an identity.
        recurrent_std: standard deviation of U where `recurrent_init` is "normal" or "sparse".
        bias: add b, initially zero.
        spectral_radius: largest modulus of an eigenvalue of U, gate by gate: each block is scaled to have it
            after it is drawn; None leaves it as drawn.
    """

    gates: int
    values: ClassVar[tuple[str, ...]] = (
        "input_init",
        "input_std",
        "recurrent_init",
        "recurrent_scale",
        "recurrent_std",
        "spectral_radius",
    )

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        input_init: Initialisation = "glorot",
        input_std: float = 0.001,
        recurrent_init: Initialisation = "orthogonal",
        recurrent_scale: float = 1.0,
        recurrent_std: float = 0.1,
        bias: bool = True,
        spectral_radius: float | None = None,
    ) -> None:
        super().__init__(input_size, hidden_size)
        if spectral_radius is not None and not 0 < spectral_radius < math.inf:
            raise ValueError(
                f"{type(self).__name__}: spectral_radius is {spectral_radius}; it must be above 0."
            )
        self.input_init: Initialisation = input_init
        self.input_std = input_std
        self.recurrent_init: Initialisation = recurrent_init
        self.recurrent_scale = recurrent_scale
        self.recurrent_std = recurrent_std
        self.spectral_radius = spectral_radius
        width = self.gates * hidden_size
        self.weight_input = nn.Parameter(torch.empty(width, input_size))
        self.weight_recurrent = nn.Parameter(torch.empty(width, hidden_size))
        self.bias = nn.Parameter(torch.empty(width)) if bias else None

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b to zero."""
        initialise(self.weight_input, self.gates, self.input_init, 1.0, self.input_std)
        self.draw_recurrent(self.weight_recurrent, self.gates)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def draw_recurrent(self, weight: Tensor, gates: int) -> None:
        """Draw a recurrent matrix (gates·hidden, hidden) in place as the constructor's arguments say."""
        options = self.recurrent_scale, self.recurrent_std, self.spectral_radius
        initialise(weight, gates, self.recurrent_init, *options)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x_t + b of all steps, (…, gates·hidden)."""
        return F.linear(inputs, self.weight_input, self.bias)

    def _checked_chrono(self, chrono: float | None) -> float | None:
        """Return the option `chrono`, T_max of `draw_chrono_bias`, if it makes sense for this cell."""
        name = type(self).__name__
        if chrono is not None and not 2 <= chrono < math.inf:
            raise ValueError(f"{name}: chrono is {chrono}; it must be at least 2.")
        if chrono is not None and self.bias is None:
            raise ValueError(
                f"{name}: chrono is {chrono}, but bias is False; chrono draws biases, so it must be True."
            )
        return chrono

    def extra_repr(self) -> str:
        """Return the sizes, for `print`."""
        return f"{self.input_size}, {self.hidden_size}"
