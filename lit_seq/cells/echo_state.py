"""The echo state network's reservoir."""

import torch
from torch import Tensor

from lit_seq.cells.cell import HiddenState
from lit_seq.cells.initialisation import spectral_radius_of
from lit_seq.cells.leaky import Leaky, spread


class EchoState(Leaky):
    """Echo state reservoir: random, sparse and fixed; only what reads its echoes is trained.

        h_t = (1 - a) ⊙ h_{t-1} + a ⊙ tanh(W x_t + U h_{t-1} + b)

    Jaeger 2001 (GMD report 148); leaky as in Lukoševičius 2012 (A practical guide to applying echo state
    networks), eqs. 2 and 3. W, U, b and a are buffers, and not trained: the readout learns alone, by gradient
    (`ManyToMany`) or in closed form (`RidgeReadout`).

    Each option holds exactly for the numbers drawn, not on average: ρ is the largest absolute eigenvalue of
    U as it is, round(`sparsity`·hidden²) of U's weights are zero, and the largest of |W| and of |b| are
    `input_scale` and `bias_scale`.

    Attributes:
        weight_input: W, (hidden, input), uniform.
        weight_recurrent: U, (hidden, hidden), uniform where it is not zero.
        bias: b, (hidden,), uniform.
        leak_rate: a, (hidden,).

    Args:
        input_size: features of an input.
        hidden_size: units of the reservoir.
        spectral_radius: ρ, above 0; just below 1 for a long memory.
        sparsity: part of U's weights that are zero, from 0 to below 1.
        input_scale: largest absolute weight of W; the larger, the less linear.
        bias_scale: largest absolute value of b.
        leak: a, above 0 and at most 1, one for all units or several as in `Leaky`; 1 has no leak, small is
            slow.

    Raises:
        ValueError: an option is outside of its range, or with so many zeros U's eigenvalues are all 0.
    """

    values = ("spectral_radius", "sparsity", "input_scale", "bias_scale", "leak")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        spectral_radius: float = 0.95,
        sparsity: float = 0.9,
        input_scale: float = 0.5,
        bias_scale: float = 0.2,
        leak: float | list[float] = 1.0,
    ) -> None:
        for name, value, allowed, fine in (
            ("sparsity", sparsity, "at least 0 and below 1", 0 <= sparsity < 1),
            ("input_scale", input_scale, "above 0", input_scale > 0),
            ("bias_scale", bias_scale, "at least 0", bias_scale >= 0),
        ):
            if not fine:
                raise ValueError(f"EchoState: {name} is {value}; it must be {allowed}.")
        # Leaky's constructor ends by drawing the reservoir.
        self.sparsity = sparsity
        self.input_scale = input_scale
        self.bias_scale = bias_scale
        super().__init__(input_size, hidden_size, leak, spectral_radius=spectral_radius)
        for name in ("weight_input", "weight_recurrent", "bias"):
            drawn = getattr(self, name).detach()
            delattr(self, name)
            self.register_buffer(name, drawn)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw W, U and b as the constructor's arguments say."""
        assert self.bias is not None
        assert self.spectral_radius is not None
        self.weight_input.copy_(_uniform(self.weight_input.shape, self.input_scale))
        self.weight_recurrent.copy_(self._recurrent(self.spectral_radius))
        self.bias.copy_(_uniform(self.bias.shape, self.bias_scale))
        self.leak_rate.copy_(spread(self.leak, self.hidden_size))

    def _recurrent(self, radius: float) -> Tensor:
        size = self.hidden_size
        zeros = round(self.sparsity * size**2)
        # By chance a few weights may form no loop at all.
        for _ in range(100):
            weight = _uniform(torch.Size([size**2]), 1.0)
            weight[torch.randperm(size**2)[:zeros]] = 0.0
            weight = weight.reshape(size, size)
            found = spectral_radius_of(weight)
            # Without a loop the matrix is triangular but for its order, and its eigenvalues are exactly 0.
            if found > 0:
                return weight * (radius / found)
        raise ValueError(
            f"EchoState: with a sparsity of {self.sparsity} the {size**2 - zeros} weights among {size} units"
            " form no loop, so that no factor gives them a spectral radius; it must be lower."
        )

    def initial_state(self, batch: int) -> HiddenState:
        """Return the all-zero state for `batch` sequences."""
        return HiddenState(self.weight_recurrent.new_zeros(batch, self.hidden_size))


def _uniform(shape: torch.Size, largest: float) -> Tensor:
    """Draw numbers around zero, the largest absolute one of which is `largest`; float64."""
    drawn = 2 * torch.rand(shape, dtype=torch.float64) - 1
    return drawn * (largest / drawn.abs().max())
