"""The Jordan network's hidden layer."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.cell import Cell, HiddenState
from lit_seq.cells.initialisation import Initialisation, initialise


class Jordan(Cell[HiddenState]):
    """Jordan network: recurrence from the output only, so that teacher forcing trains all steps in parallel.

        h_t = φ(W x_t + U y_{t-1} + b)
        y_t = ψ(V h_t + c)

    Jordan 1986 (ICS report 8604), without the decaying trace of older outputs; Goodfellow, Bengio & Courville
    2016, fig. 10.4. The cell is the first equation, with x_t and y_{t-1} side by side as its input. The
    second is the head of the topology, which also brings the output back: `OutputFeedback`. The hidden layer
    has no memory of its own, so where y_{t-1} is given, all steps are computed at once.

    Attributes:
        weight_input: W and U, (hidden, input + output).
        bias: b, (hidden,).

    Args:
        input_size: features of an input and of the output that is fed back.
        hidden_size: features of the hidden layer.
        activation: φ.
        input_init: how W and U are drawn.
        input_std: standard deviation of W and U where `input_init` is "normal".
    """

    state_type = HiddenState
    values = ("input_init", "input_std")

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        activation: Activation = "tanh",
        input_init: Initialisation = "glorot",
        input_std: float = 0.1,
    ) -> None:
        super().__init__(input_size, hidden_size)
        self.activation = checked(type(self).__name__, activation)
        self.input_init: Initialisation = input_init
        self.input_std = input_std
        self.weight_input = nn.Parameter(torch.empty(hidden_size, input_size))
        self.bias = nn.Parameter(torch.empty(hidden_size))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw W and U as the constructor's arguments say; set b to zero."""
        initialise(self.weight_input, 1, self.input_init, 1.0, self.input_std)
        nn.init.zeros_(self.bias)

    def project(self, inputs: Tensor) -> Tensor:
        """Return h_t of all steps, (…, hidden)."""
        return activate(F.linear(inputs, self.weight_input, self.bias), self.activation)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Forget the state."""
        return HiddenState(projected)
