"""The gated recurrent unit."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState


class GRU(AffineCell[HiddenState]):
    """GRU with the reset gate after the product (Cho et al. 2014, arXiv:1406.1078; the variant of cuDNN).

        r_t = σ(W_r x_t + b_r + U_r h_{t-1})
        z_t = σ(W_z x_t + b_z + U_z h_{t-1})
        n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t-1}))
        h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    The blocks of the parameters are in the order r, z, n, as in `torch.nn.GRU`, whose second bias, inside
    the reset product, is zero here.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        initialisation: see `AffineCell`.
    """

    state_type = HiddenState
    gates = 3

    def __init__(self, input_size: int, hidden_size: int, **initialisation: Any) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.reset_parameters()

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations above."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, -1)
        u_r, u_z, u_n = F.linear(h, self.weight_recurrent).chunk(3, -1)
        r = torch.sigmoid(x_r + u_r)
        z = torch.sigmoid(x_z + u_z)
        n = torch.tanh(x_n + r * u_n)
        return HiddenState((1 - z) * n + z * h)
