"""Elman's network with layer normalisation."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState


class LayerNormElman(AffineCell[HiddenState]):
    """Elman network with layer normalisation, whose hidden dynamics neither shrink nor grow with the weights.

        a_t = W x_t + U h_{t-1}
        h_t = φ(γ ⊙ (a_t - μ_t) / √(σ_t² + ε) + b),  ε = 10⁻⁵

    μ_t and σ_t² are the mean and variance of a_t over the units, of each step and sequence by itself.

    Source: Ba, Kiros & Hinton 2016 (arXiv:1607.06450), eq. 4.

    Attributes:
        gain: γ, (hidden,), initially one.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state, at least 2.
        activation: φ.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: there is one unit only, which is its own mean.
    """

    state_type = HiddenState
    gates = 1

    def __init__(
        self, input_size: int, hidden_size: int, activation: Activation = "tanh", **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        if hidden_size == 1:
            raise ValueError("LayerNormElman: hidden_size is 1; it must be at least 2, as LN makes 0 of 1.")
        self.activation = checked(type(self).__name__, activation)
        self.gain = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set γ to one and b to zero."""
        super().reset_parameters()
        nn.init.ones_(self.gain)

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x_t of all steps, (…, hidden)."""
        return F.linear(inputs, self.weight_input)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations above."""
        a = projected + F.linear(state.h, self.weight_recurrent)
        return HiddenState(activate(F.layer_norm(a, a.shape[-1:], self.gain, self.bias), self.activation))
