"""Leaky units."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState


class Leaky(AffineCell[HiddenState]):
    """Leaky units: Elman's network whose units move slowly, for signals with long time scales.

        h_t = (1 - a) ⊙ h_{t-1} + a ⊙ φ(W x_t + b + U h_{t-1})

    The leak rate a is that of Jaeger et al. 2007 (Neural Networks 20, eq. 1 with step 1); the α of
    Goodfellow, Bengio & Courville (*Deep Learning*, section 10.9.2; Mozer 1992) is 1 - a. A unit remembers
    for about 1 / a steps. With a = 1 this is `Elman`.

    Attributes:
        leak_rate: a, (hidden,), a buffer, or σ(`leak_logit`) where it is learned.
        leak_logit: log a / (1 - a), (hidden,), where a is learned; else None.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state.
        leak: a, above 0 and at most 1: one for all units, or several that are spread over them: the first
            and the last unit have the first and the last, and those between a geometric interpolation; as
            many as there are units give each its own.
        learned: train each unit's a from there, kept between 0 and 1 by a sigmoid.
        activation: φ, as in `Elman`.
        initialisation: see `AffineCell`.

    Raises:
        ValueError: a is out of its range, there are too many, or φ is no elementwise function.
    """

    state_type = HiddenState
    gates = 1
    values = (*AffineCell.values, "leak")
    leak_rate: Tensor

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        leak: float | list[float] = 0.1,
        learned: bool = False,
        activation: Activation = "tanh",
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        self.leak = leak if isinstance(leak, list) else [leak]
        self.activation = checked(type(self).__name__, activation)
        if not 1 <= len(self.leak) <= hidden_size:
            raise ValueError(
                f"{type(self).__name__}: leak has {len(self.leak)} values; it must have 1 to hidden_size, "
                f"which is {hidden_size}."
            )
        if not all(0 < a < 1 or (a == 1 and not learned) for a in self.leak):
            raise ValueError(
                f"{type(self).__name__}: leak is {leak}; it must be above 0 and "
                f"{'below 1 to be learned' if learned else 'at most 1'}."
            )
        self.leak_logit = nn.Parameter(torch.empty(hidden_size)) if learned else None
        if not learned:
            self.register_buffer("leak_rate", torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b to zero and a to `leak`."""
        super().reset_parameters()
        rates = spread(self.leak, self.hidden_size)
        with torch.no_grad():
            if self.leak_logit is None:
                self.leak_rate.copy_(rates)
            else:
                self.leak_logit.copy_(rates.logit())

    def rates(self) -> Tensor:
        """Return a, (hidden,)."""
        return self.leak_rate if self.leak_logit is None else torch.sigmoid(self.leak_logit)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equation above."""
        target = activate(projected + F.linear(state.h, self.weight_recurrent), self.activation)
        return HiddenState(torch.lerp(state.h, target, self.rates()))


def spread(points: list[float], count: int) -> Tensor:
    """Return `count` values in float64 that go through `points` at equal distances, geometrically between."""
    places = torch.linspace(0, len(points) - 1, count, dtype=torch.float64)
    below = places.floor().long()
    values, part = torch.tensor(points, dtype=torch.float64), places - below
    return values[below] ** (1 - part) * values[(below + 1).clamp(max=len(points) - 1)] ** part
