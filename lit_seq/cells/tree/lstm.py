"""Tree-LSTMs (Tai, Socher & Manning 2015, arXiv:1503.00075)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells.lstm import LSTMState
from lit_seq.cells.tree.cell import Children, TreeCell


class ChildSumTreeLSTM(TreeCell[LSTMState]):
    """Child-sum Tree-LSTM: any number of children in no order, such as in dependency trees.

    Tai et al. 2015, eqs. 2–8, with k over the children of j:

        h̃_j = Σ_k h_k
        i_j = σ(W_i x_j + b_i + U_i h̃_j)
        o_j = σ(W_o x_j + b_o + U_o h̃_j)
        u_j = tanh(W_u x_j + b_u + U_u h̃_j)
        f_jk = σ(W_f x_j + b_f + U_f h_k)
        c_j = i_j ⊙ u_j + Σ_k f_jk ⊙ c_k
        h_j = o_j ⊙ tanh(c_j)

    The blocks of the parameters are in the order i, o, u, f.

    Attributes:
        weight_recurrent: U, (4·hidden, hidden), each block initially orthogonal.

    Args:
        input_size: features of a node's input.
        hidden_size: features of the hidden state.
        forget_bias: initial b_f.
    """

    state_type = LSTMState
    values: ClassVar[tuple[str, ...]] = ("forget_bias",)

    def __init__(self, input_size: int, hidden_size: int, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, 4)
        self.weight_recurrent = self._drawn(4 * hidden_size, hidden_size)
        nn.init.constant_(self.bias.detach()[3 * hidden_size :], forget_bias)

    def step(self, projected: Tensor, children: Children) -> LSTMState:
        """Apply the equations above."""
        (h, c), nodes, hidden = children.state, len(projected), self.hidden_size
        of_sum, of_child = self.weight_recurrent.split([3 * hidden, hidden])
        gates, projected_f = projected.split([3 * hidden, hidden], -1)
        i, o, u = (gates + F.linear(children.sums(h, nodes), of_sum)).chunk(3, -1)
        f = torch.sigmoid(projected_f.index_select(0, children.parents) + F.linear(h, of_child))
        new_c = torch.sigmoid(i) * torch.tanh(u) + children.sums(f * c, nodes)
        return LSTMState(torch.sigmoid(o) * torch.tanh(new_c), new_c)


class NaryTreeLSTM(TreeCell[LSTMState]):
    """N-ary Tree-LSTM: up to N children in their order, such as the binary trees of phrases.

    Tai et al. 2015, eqs. 9–14, with k and l over the places of children, of which an empty one has h = c = 0:

        i_j = σ(W_i x_j + b_i + Σ_l U_il h_jl)
        o_j = σ(W_o x_j + b_o + Σ_l U_ol h_jl)
        u_j = tanh(W_u x_j + b_u + Σ_l U_ul h_jl)
        f_jk = σ(W_f x_j + b_f + Σ_l U_fkl h_jl)
        c_j = i_j ⊙ u_j + Σ_k f_jk ⊙ c_jk
        h_j = o_j ⊙ tanh(c_j)

    The blocks of W and b are in the order i, o, u, f; those of U in the order i, o, u, f_1 … f_N.

    Attributes:
        weight_recurrent: U, ((3 + N)·hidden, N·hidden), each block initially orthogonal.

    Args:
        input_size: features of a node's input.
        hidden_size: features of the hidden state.
        arity: N, most children of a node; 2 is the binary Tree-LSTM.
        forget_bias: initial b_f.

    Raises:
        ValueError: a size is below 1.
    """

    state_type = LSTMState
    values: ClassVar[tuple[str, ...]] = ("forget_bias",)

    arity: int

    def __init__(self, input_size: int, hidden_size: int, arity: int = 2, forget_bias: float = 1.0) -> None:
        super().__init__(input_size, hidden_size, 4, arity)
        self.weight_recurrent = self._drawn((3 + arity) * hidden_size, arity * hidden_size)
        nn.init.constant_(self.bias.detach()[3 * hidden_size :], forget_bias)

    def step(self, projected: Tensor, children: Children) -> LSTMState:
        """Apply the equations above."""
        nodes, hidden, arity = len(projected), self.hidden_size, self.arity
        h, c = (children.in_places(part, nodes, arity) for part in children.state)
        recurrent = F.linear(h.flatten(1), self.weight_recurrent)
        gates, projected_f = projected.split([3 * hidden, hidden], -1)
        i, o, u = (gates + recurrent[:, : 3 * hidden]).chunk(3, -1)
        recurrent_f = recurrent[:, 3 * hidden :].unflatten(1, (arity, hidden))
        f = torch.sigmoid(projected_f.unsqueeze(1) + recurrent_f)
        c = torch.sigmoid(i) * torch.tanh(u) + (f * c).sum(1)
        return LSTMState(torch.sigmoid(o) * torch.tanh(c), c)
