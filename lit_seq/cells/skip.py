"""Recurrence with edges that skip time steps."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.affine import AffineCell


class SkipState(NamedTuple):
    """State of a network with edges of up to D steps.

    Attributes:
        h: hidden state h_t, (batch, hidden).
        past: the D - 1 hidden states before it, h_{t-1} first, (batch, (D - 1)·hidden).
    """

    h: Tensor
    past: Tensor


class Skip(AffineCell[SkipState]):
    """Elman network with edges that skip time steps, so that gradients of long delays take few steps.

        h_t = φ(W x_t + b + Σ_d U_d h_{t-d}),  d in delays

    With delays (1, d) the edges over d steps are added to those of length one (Lin, Horne, Tiňo & Giles 1996;
    Goodfellow, Bengio & Courville 2016, section 10.9.1); with (d,) they replace them (section 10.9.3; the
    dilated network of Chang et al. 2017, arXiv:1710.02224, eq. 1); with 1 … d it is the recurrence of NARX
    networks. Hidden states before the first step are zero, so a sequence no longer than d is not changed by
    U_d, and with (d,) alone has no memory: unless a state is carried from one chunk to the next.

    Attributes:
        weight_recurrent: U_d side by side in the order of `delays`, (hidden, delays·hidden).

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        delays: lengths of the edges in steps.
        activation: φ.
        initialisation: see `AffineCell`; each U_d is drawn as a matrix of its own.

    Raises:
        ValueError: the delays do not rise from at least 1.
    """

    state_type = SkipState
    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        delays: Sequence[int] = (1, 4),
        activation: Activation = "tanh",
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        if not delays or delays[0] < 1 or list(delays) != sorted(set(delays)):
            raise ValueError(f"Skip: delays is {list(delays)}; they must rise, from at least 1.")
        self.delays = tuple(delays)
        self.activation = checked(type(self).__name__, activation)
        self.weight_recurrent = nn.Parameter(torch.empty(hidden_size, len(delays) * hidden_size))
        self.reset_parameters()

    def draw_recurrent(self, weight: Tensor, gates: int) -> None:
        """Draw each U_d in place as the constructor's arguments say."""
        for block in weight.chunk(len(self.delays), 1):
            super().draw_recurrent(block, gates)

    def initial_state(self, batch: int) -> SkipState:
        """Return zeros for all the past."""
        h, _ = super().initial_state(batch)
        return SkipState(h, h.new_zeros(batch, (self.delays[-1] - 1) * self.hidden_size))

    def step(self, projected: Tensor, state: SkipState) -> SkipState:
        """Apply the equation above."""
        known = torch.cat(state, -1)
        before = [known.narrow(-1, (d - 1) * self.hidden_size, self.hidden_size) for d in self.delays]
        h = activate(projected + F.linear(torch.cat(before, -1), self.weight_recurrent), self.activation)
        return SkipState(h, known.narrow(-1, 0, state.past.shape[-1]))
