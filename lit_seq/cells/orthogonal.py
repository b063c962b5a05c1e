"""Recurrence by an orthogonal matrix."""

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import orthogonal

from lit_seq.cells.activation import Activation
from lit_seq.cells.cell import HiddenState
from lit_seq.cells.elman import Elman
from lit_seq.cells.initialisation import Initialisation

OrthogonalMap = Literal["cayley", "matrix_exp"]
OrthogonalInitialisation = Literal["orthogonal", "identity", "rotations"]


class OrthogonalElman(Elman):
    """Elman network whose recurrent matrix stays orthogonal, for memory over many steps.

        h_t = φ(W x_t + b + U h_{t-1}),  Uᵀ U = I

    Gradients neither vanish nor explode by U. It is U_0 times a function of a skew-symmetric A = V - Vᵀ,
    where the lower triangle of V is trained, from zero:

        "cayley":      U = U_0 (I - A/2)⁻¹ (I + A/2)   (Helfrich, Willmott & Ye 2018, arXiv:1707.09520)
        "matrix_exp":  U = U_0 e^A   (Lezcano-Casado & Martínez-Rubio 2019, arXiv:1901.08428)

    It is computed by `torch.nn.utils.parametrizations.orthogonal`, once for all steps of a scan.

    Attributes:
        weight_recurrent: U, (hidden, hidden).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        activation: φ; "linear" keeps norms exactly.
        orthogonal_map: how U is made of A.
        recurrent_init: U_0. "orthogonal": uniform over the orthogonal matrices; "identity"; "rotations": of
            pairs of units, by angles from U(-π, π) (Henaff, Szlam & LeCun 2016, arXiv:1602.06662).
        input_init: how W is drawn.
        input_std: standard deviation of W where `input_init` is "normal".
        bias: add b, initially zero.
    """

    values = ("recurrent_init", "input_init", "input_std")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        orthogonal_map: OrthogonalMap = "cayley",
        recurrent_init: OrthogonalInitialisation = "orthogonal",
        input_init: Initialisation = "glorot",
        input_std: float = 0.001,
        bias: bool = True,
    ) -> None:
        super().__init__(
            input_size, hidden_size, activation, input_init=input_init, input_std=input_std, bias=bias
        )
        self._initial: OrthogonalInitialisation = recurrent_init
        name = type(self).__name__
        orthogonal(self, "weight_recurrent", orthogonal_map)
        # torch derives a class, with a name that no user knows.
        type(self).__name__ = name
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U_0 as the constructor's arguments say; set A and b to zero."""
        super().reset_parameters()
        # Elman's constructor comes here before there is a map.
        if parametrize.is_parametrized(self):
            drawn: Any = _drawn(torch.empty_like(self.weight_recurrent), self._initial)
            self.weight_recurrent = drawn


class OrthogonalModReLU(OrthogonalElman):
    """Orthogonal network with modReLU, which keeps signs and small norms, for the longest memory.

        z_t = W x_t + U h_{t-1},  Uᵀ U = I
        h_t = sign(z_t) ⊙ max(|z_t| + b, 0)

    Source: Arjovsky, Shah & Bengio 2016 (arXiv:1511.06464); real as in Helfrich, Willmott & Ye 2018.
    With b = 0, as it begins, it is linear. For U see `OrthogonalElman`.

    Attributes:
        threshold: b, (hidden,), initially zero.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        orthogonal_map: how U is made of A.
        recurrent_init: U_0, see `OrthogonalElman`.
        input_init: how W is drawn.
        input_std: standard deviation of W where `input_init` is "normal".
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        orthogonal_map: OrthogonalMap = "cayley",
        recurrent_init: OrthogonalInitialisation = "orthogonal",
        input_init: Initialisation = "glorot",
        input_std: float = 0.001,
    ) -> None:
        drawn = (orthogonal_map, recurrent_init, input_init, input_std)
        super().__init__(input_size, hidden_size, "linear", *drawn, bias=False)
        self.threshold = nn.Parameter(torch.zeros(hidden_size))

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations above."""
        z = projected + F.linear(state.h, self.weight_recurrent)
        return HiddenState(z.sign() * torch.relu(z.abs() + self.threshold))


def _drawn(matrix: Tensor, kind: OrthogonalInitialisation) -> Tensor:
    """Fill an orthogonal matrix from torch's global generator."""
    match kind:
        case "orthogonal":
            return nn.init.orthogonal_(matrix)
        case "identity":
            return nn.init.eye_(matrix)
        case "rotations":
            angles = matrix.new_empty(len(matrix) // 2).uniform_(-math.pi, math.pi)
            cos, sin = angles.cos(), angles.sin()
            blocks = torch.stack([torch.stack([cos, -sin], -1), torch.stack([sin, cos], -1)], -2)
            return torch.block_diag(*blocks, *matrix.new_ones(len(matrix) % 2, 1, 1))
