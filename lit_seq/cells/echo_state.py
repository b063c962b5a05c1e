"""The echo state network's reservoir."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.cell import Cell, HiddenState


class EchoState(Cell[HiddenState]):
    """Echo state reservoir: random, sparse and fixed; only what reads its echoes is trained.

        h_t = (1 - α) h_{t-1} + α tanh(W x_t + U h_{t-1} + b)

    Jaeger 2001 (GMD report 148); leaky as in Lukoševičius 2012 (A practical guide to applying echo state
    networks), eqs. 2 and 3. W, U, b and α are buffers, of which none is trained: by gradient the readout
    learns alone (`ManyToMany`), or it is solved in closed form (`RidgeReadout`).

    Each option holds exactly for the numbers drawn, not on average: ρ is the largest absolute eigenvalue of
    U as it is, round(`sparsity`·hidden²) of U's weights are zero, and the largest of |W| and of |b| are
    `input_scale` and `bias_scale`.

    Attributes:
        weight_input: W, (hidden, input), uniform.
        weight_recurrent: U, (hidden, hidden), uniform where it is not zero.
        bias: b, (hidden,), uniform.
        leak: α, a scalar.

    Args:
        input_size: features of an input.
        hidden_size: units of the reservoir.
        spectral_radius: ρ, above 0; just below 1 for a long memory.
        sparsity: part of U's weights that are zero, from 0 to below 1.
        input_scale: largest absolute weight of W; the larger, the less linear.
        bias_scale: largest absolute value of b.
        leak: α, above 0 and at most 1; 1 has no leak, small is slow.

    Raises:
        ValueError: an option is outside of its range, or with so many zeros U's eigenvalues are all 0.
    """

    state_type = HiddenState
    values = ("spectral_radius", "sparsity", "input_scale", "bias_scale", "leak")

    weight_input: Tensor
    weight_recurrent: Tensor
    bias: Tensor
    leak: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        spectral_radius: float = 0.95,
        sparsity: float = 0.9,
        input_scale: float = 0.5,
        bias_scale: float = 0.2,
        leak: float = 1.0,
    ) -> None:
        super().__init__(input_size, hidden_size)
        for name, value, allowed, fine in (
            ("spectral_radius", spectral_radius, "above 0", spectral_radius > 0),
            ("sparsity", sparsity, "at least 0 and below 1", 0 <= sparsity < 1),
            ("input_scale", input_scale, "above 0", input_scale > 0),
            ("bias_scale", bias_scale, "at least 0", bias_scale >= 0),
            ("leak", leak, "above 0 and at most 1", 0 < leak <= 1),
        ):
            if not fine:
                raise ValueError(f"EchoState: {name} is {value}; it must be {allowed}.")
        self.spectral_radius = spectral_radius
        self.sparsity = sparsity
        self.input_scale = input_scale
        self.bias_scale = bias_scale
        self.register_buffer("weight_input", torch.empty(hidden_size, input_size))
        self.register_buffer("weight_recurrent", torch.empty(hidden_size, hidden_size))
        self.register_buffer("bias", torch.empty(hidden_size))
        self.register_buffer("leak", torch.tensor(leak))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw W, U and b as the constructor's arguments say."""
        self.weight_input.copy_(_uniform(self.weight_input.shape, self.input_scale))
        self.weight_recurrent.copy_(self._recurrent())
        self.bias.copy_(_uniform(self.bias.shape, self.bias_scale))

    def _recurrent(self) -> Tensor:
        size = self.hidden_size
        zeros = round(self.sparsity * size**2)
        # By chance a few weights may form no loop at all.
        for _ in range(100):
            weight = _uniform(torch.Size([size**2]), 1.0)
            weight[torch.randperm(size**2)[:zeros]] = 0.0
            weight = weight.reshape(size, size)
            radius = torch.linalg.eigvals(weight).abs().max()
            # Without a loop the matrix is triangular but for its order, and its eigenvalues are exactly 0.
            if radius > 0:
                return weight * (self.spectral_radius / radius)
        raise ValueError(
            f"EchoState: with a sparsity of {self.sparsity} the {size**2 - zeros} weights among {size} units"
            " form no loop, so that no factor gives them a spectral radius; it must be lower."
        )

    def project(self, inputs: Tensor) -> Tensor:
        """Return W x_t + b of all steps, (…, hidden)."""
        return F.linear(inputs, self.weight_input, self.bias)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equation above."""
        h = torch.tanh(projected + F.linear(state.h, self.weight_recurrent))
        return HiddenState(torch.lerp(state.h, h, self.leak))

    def initial_state(self, batch: int) -> HiddenState:
        """Return the all-zero state for `batch` sequences."""
        return HiddenState(self.weight_recurrent.new_zeros(batch, self.hidden_size))


def _uniform(shape: torch.Size, largest: float) -> Tensor:
    """Draw numbers around zero, the largest absolute one of which is `largest`; float64."""
    drawn = 2 * torch.rand(shape, dtype=torch.float64) - 1
    return drawn * (largest / drawn.abs().max())
