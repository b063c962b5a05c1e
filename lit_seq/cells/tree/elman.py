"""The simple recursive network."""

from torch import Tensor
from torch.nn import functional as F

from lit_seq.cells.activation import Activation, activate, checked
from lit_seq.cells.cell import HiddenState
from lit_seq.cells.tree.cell import Children, TreeCell


class TreeElman(TreeCell[HiddenState]):
    """The recursive network with Elman's update rule (Goller & Küchler 1996; Socher et al. 2011, eq. 2).

        h_j = φ(W x_j + b + U_1 h_{j1} + … + U_N h_{jN})

    with a matrix for each child in turn; without `arity` all children have the same one, U Σ_k h_{jk}.

    Attributes:
        weight_recurrent: U, (hidden, N·hidden), each block initially orthogonal.

    Args:
        input_size: features of a node's input.
        hidden_size: features of the hidden state.
        arity: N, most children of a node; None: any number, in no order.
        activation: φ, as of `lit_seq.cells.Elman`.

    Raises:
        ValueError: φ is no such function, or a size is below 1.
    """

    state_type = HiddenState

    def __init__(
        self, input_size: int, hidden_size: int, arity: int | None = None, activation: Activation = "tanh"
    ) -> None:
        super().__init__(input_size, hidden_size, 1, arity)
        self.activation = checked(type(self).__name__, activation)
        self.weight_recurrent = self._drawn(hidden_size, (arity or 1) * hidden_size)

    def step(self, projected: Tensor, children: Children) -> HiddenState:
        """Apply the equation above."""
        nodes = len(projected)
        if self.arity is None:
            h = children.sums(children.state.h, nodes)
        else:
            h = children.in_places(children.state.h, nodes, self.arity).flatten(1)
        return HiddenState(activate(projected + F.linear(h, self.weight_recurrent), self.activation))
