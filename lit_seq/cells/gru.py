"""The gated recurrent unit."""

from typing import Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState
from lit_seq.cells.initialisation import draw_chrono_bias


class GRU(AffineCell[HiddenState]):
    """Gated recurrent unit: an LSTM's long memory with three gates and no separate cell.

    Cho et al. 2014 (arXiv:1406.1078). The reset gate acts after the product with U_n, as in cuDNN,

        r_t = σ(W_r x_t + b_r + U_r h_{t-1})
        z_t = σ(W_z x_t + b_z + U_z h_{t-1})
        n_t = tanh(W_n x_t + b_n + r_t ⊙ (U_n h_{t-1}))
        h_t = (1 - z_t) ⊙ n_t + z_t ⊙ h_{t-1}

    or before it, as in the paper (eq. 8): n_t = tanh(W_n x_t + b_n + U_n (r_t ⊙ h_{t-1})).

    The blocks of the parameters are in the order r, z, n, as in `torch.nn.GRU`, whose second bias, inside
    the reset product, is zero here.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        reset: where r_t acts: "after" the product, which is the faster, or "before" it.
        chrono: T_max, the longest dependency in steps: b_z ~ log U(1, T_max - 1) for each unit (Tallec &
            Ollivier 2018, arXiv:1804.11188, section 3); None for zero.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: `chrono` is below 2, or there is no bias for it.
    """

    state_type = HiddenState
    gates = 3
    values = (*AffineCell.values, "chrono")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        reset: Literal["after", "before"] = "after",
        chrono: float | None = None,
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.reset: Literal["after", "before"] = reset
        self.chrono = self._checked_chrono(chrono)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b to zero, but b_z as `chrono` says."""
        super().reset_parameters()
        if self.bias is not None and self.chrono is not None:
            draw_chrono_bias(self.bias.detach().chunk(3)[1], self.chrono)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations above."""
        (h,) = state
        x_r, x_z, x_n = projected.chunk(3, -1)
        if self.reset == "after":
            u_r, u_z, u_n = F.linear(h, self.weight_recurrent).chunk(3, -1)
            r = torch.sigmoid(x_r + u_r)
            n = torch.tanh(x_n + r * u_n)
        else:
            weight_rz, weight_n = self.weight_recurrent.split((2 * self.hidden_size, self.hidden_size))
            u_r, u_z = F.linear(h, weight_rz).chunk(2, -1)
            r = torch.sigmoid(x_r + u_r)
            n = torch.tanh(x_n + F.linear(r * h, weight_n))
        z = torch.sigmoid(x_z + u_z)
        return HiddenState((1 - z) * n + z * h)
