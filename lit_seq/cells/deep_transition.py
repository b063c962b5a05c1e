"""Recurrence with several layers between one step and the next."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.affine import AffineCell
from lit_seq.cells.cell import HiddenState
from lit_seq.cells.initialisation import initialise


class DeepTransition(AffineCell[HiddenState]):
    """Elman network that is deep in each step, for updates that one layer cannot express.

    Deep from input to hidden state, with K input layers:

        a_t = A_K φ(… A_2 φ(W x_t + b) + c_2 …) + c_K

    Deep from hidden state to hidden state, with L transition layers, and, with a shortcut, S h_{t-1} as a way
    past them (DT-RNN, DT(S)-RNN):

        z_t^1 = φ(a_t + U h_{t-1})
        z_t^l = φ(V_l z_t^{l-1} + d_l),  l = 2 … L - 1
        h_t = φ(V_L z_t^{L-1} + d_L + S h_{t-1})

    Deep from hidden state to output, with M output layers (DO-RNN, DOT-RNN):

        y_t = φ(… φ(O_1 h_t + e_1) …)

    Source: Pascanu, Gülçehre, Cho & Bengio 2014 (arXiv:1312.6026), sections 3.2 and 3.3. With one
    input layer, one transition layer and no output layer it is Elman's network.

    Args:
        input_size: features of an input.
        hidden_size: features of the hidden state and of each layer.
        input_layers: K, at least 1.
        transition_layers: L, at least 1.
        output_layers: M, at least 0.
        shortcut: add S h_{t-1}, for which L must be at least 2.
        activation: φ.
        initialisation: see `AffineCell`; A, V and O are drawn as W is, S as U is.

    Raises:
        ValueError: a number of layers is too small.
    """

    state_type = HiddenState
    gates = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        input_layers: int = 1,
        transition_layers: int = 2,
        output_layers: int = 0,
        shortcut: bool = False,
        activation: Activation = "tanh",
        **initialisation: Any,
    ) -> None:
        super().__init__(input_size, hidden_size, **initialisation)
        least = {"input_layers": 1, "transition_layers": 2 if shortcut else 1, "output_layers": 0}
        given = (input_layers, transition_layers, output_layers)
        for (name, minimum), number in zip(least.items(), given, strict=True):
            if number < minimum:
                why = ", as a shortcut passes the last layer by" if name[0] == "t" and shortcut else ""
                raise ValueError(f"DeepTransition: {name} is {number}; it must be at least {minimum}{why}.")
        self.activation = checked(type(self).__name__, activation)

        def layers(number: int) -> nn.ModuleList:
            return nn.ModuleList(
                nn.Linear(hidden_size, hidden_size, bias=self.bias is not None) for _ in range(number)
            )

        self.inward, self.transition, self.outward = (
            layers(number) for number in (input_layers - 1, transition_layers - 1, output_layers)
        )
        self.shortcut = nn.Linear(hidden_size, hidden_size, bias=False) if shortcut else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the matrices as the constructor's arguments say; set the biases to zero."""
        super().reset_parameters()
        for layer in (*self.inward, *self.transition, *self.outward):
            initialise(layer.weight, 1, self.input_init, 1.0, self.input_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        if self.shortcut is not None:
            self.draw_recurrent(self.shortcut.weight, 1)

    def project(self, inputs: Tensor) -> Tensor:
        """Return a_t of all steps, (…, hidden)."""
        a = super().project(inputs)
        for layer in self.inward:
            a = layer(activate(a, self.activation))
        return a

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        """Apply the equations of z_t and h_t above."""
        z = projected + F.linear(state.h, self.weight_recurrent)
        for layer in self.transition:
            z = layer(activate(z, self.activation))
        if self.shortcut is not None:
            z = z + self.shortcut(state.h)
        return HiddenState(activate(z, self.activation))

    def output(self, state: HiddenState) -> Tensor:
        """Return y, (…, hidden)."""
        y = state.h
        for layer in self.outward:
            y = activate(layer(y), self.activation)
        return y
