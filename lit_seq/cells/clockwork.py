"""The clockwork recurrent network."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lit_seq.cells.affine import AffineCell
from lit_seq.cells.initialisation import initialise, set_spectral_radius


class ClockworkState(NamedTuple):
    """State of a clockwork network.

    Attributes:
        h: hidden state, (batch, hidden).
        clock: t, the steps taken so far, (batch, 1) int64.
    """

    h: Tensor
    clock: Tensor


class Clockwork(AffineCell[ClockworkState]):
    """Clockwork network, whose slow units tick rarely, for signals with several time scales.

    The hidden units are modules of equal size, and module i ticks at every T_i-th step, the first step being
    t = 0. At other times it keeps its state, so that gradients pass it unchanged. It is connected from
    itself and from slower modules:

        h_t^i = tanh(W^i x_t + b^i + Σ_{j: T_j ≥ T_i} U^ij h_{t-1}^j)   if t mod T_i = 0
        h_t^i = h_{t-1}^i                                             otherwise

    Source: Koutník, Greff, Gomez & Schmidhuber 2014 (arXiv:1402.3511), section 3, where periods are powers
    of two.

    Attributes:
        period: T of each hidden unit, (hidden,) int64.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state, a multiple of the number of periods.
        periods: T_i of each module, in steps, from fast to slow.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: the periods do not rise from at least 1, or do not divide `hidden_size` in number.
    """

    state_type = ClockworkState
    gates = 1
    values = (*AffineCell.values, "periods")
    period: Tensor

    def __init__(
        self, input_size: int, hidden_size: int, periods: Sequence[int] = (1, 2, 4, 8), **initialisation: Any
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        if not periods or periods[0] < 1 or list(periods) != sorted(set(periods)):
            raise ValueError(f"Clockwork: periods is {list(periods)}; they must rise, from at least 1.")
        if hidden_size % len(periods):
            raise ValueError(
                f"Clockwork: hidden_size is {hidden_size}; "
                f"it must be a multiple of {len(periods)}, the number of periods."
            )
        units = hidden_size // len(periods)
        self.register_buffer("period", torch.tensor(periods).repeat_interleave(units))
        mask = (self.period >= self.period.unsqueeze(1)).to(self.weight_recurrent.dtype)
        name = type(self).__name__
        parametrize.register_parametrization(self, "weight_recurrent", _Masked(mask))
        # torch derives a class, with a name that no user knows.
        type(self).__name__ = name
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b to zero."""
        super().reset_parameters()
        whole = self.get_parameter("parametrizations.weight_recurrent.original")
        initialise(whole, 1, self.recurrent_init, self.recurrent_scale, self.recurrent_std)
        if self.spectral_radius is not None:
            with torch.no_grad():
                set_spectral_radius(whole.copy_(self.weight_recurrent), self.spectral_radius)

    def initial_state(self, batch: int) -> ClockworkState:
        """Return h = 0 and t = 0."""
        h, _ = super().initial_state(batch)
        return ClockworkState(h, torch.zeros(batch, 1, dtype=torch.int64, device=h.device))

    def step(self, projected: Tensor, state: ClockworkState) -> ClockworkState:
        """Apply the equations above."""
        h, clock = state
        ticking = torch.tanh(projected + F.linear(h, self.weight_recurrent))
        return ClockworkState(torch.where(clock % self.period == 0, ticking, h), clock + 1)


class _Masked(nn.Module):
    """W ⊙ M."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__()
        self.register_buffer("mask", mask)

    def forward(self, weight: Tensor) -> Tensor:
        return weight * self.mask
