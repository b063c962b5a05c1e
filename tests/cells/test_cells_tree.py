"""Tree cells against their equations, written out node by node."""

import pytest
import torch
from torch import nn

from lit_seq.cells.tree import Children, ChildSumTreeLSTM, NaryTreeLSTM, TreeElman

INPUT, HIDDEN = 3, 4


def scrambled(cell):
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell


def nodes(cell, children):
    """States by the cell of nodes with these children's states, whose order in the level is a random one."""
    flat = [(j, k, state) for j, of_node in enumerate(children) for k, state in enumerate(of_node)]
    flat = [flat[i] for i in torch.randperm(len(flat))]
    parts = zip(*(state for _, _, state in flat), strict=True)
    below = type(cell.initial_state(1))(*map(torch.stack, parts)) if flat else cell.initial_state(0)
    places = [torch.tensor([one[i] for one in flat], dtype=torch.int64) for i in (0, 1)]
    x = torch.randn(len(children), INPUT)
    return x, cell.step(cell.project(x), Children(below, *places))


def drawn(fields, *counts):
    return [[tuple(torch.randn(HIDDEN) for _ in range(fields)) for _ in range(count)] for count in counts]


@pytest.mark.usefixtures("double")
def test_child_sum_tree_lstm_is_equations_2_to_8():
    torch.manual_seed(0)
    cell = scrambled(ChildSumTreeLSTM(INPUT, HIDDEN))
    w_i, w_o, w_u, w_f = cell.weight_input.chunk(4)
    u_i, u_o, u_u, u_f = cell.weight_recurrent.chunk(4)
    b_i, b_o, b_u, b_f = cell.bias.chunk(4)
    children = drawn(2, 0, 1, 3)
    x, state = nodes(cell, children)
    for j, of_node in enumerate(children):
        h_sum = sum((h for h, _ in of_node), torch.zeros(HIDDEN))
        i = torch.sigmoid(w_i @ x[j] + u_i @ h_sum + b_i)
        o = torch.sigmoid(w_o @ x[j] + u_o @ h_sum + b_o)
        u = torch.tanh(w_u @ x[j] + u_u @ h_sum + b_u)
        c = i * u
        for h_k, c_k in of_node:
            c = c + torch.sigmoid(w_f @ x[j] + u_f @ h_k + b_f) * c_k
        torch.testing.assert_close(state.c[j], c)
        torch.testing.assert_close(state.h[j], o * torch.tanh(c))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("arity", [2, 3])
def test_nary_tree_lstm_is_equations_9_to_14(arity):
    torch.manual_seed(0)
    cell = scrambled(NaryTreeLSTM(INPUT, HIDDEN, arity))
    w_i, w_o, w_u, w_f = cell.weight_input.chunk(4)
    b_i, b_o, b_u, b_f = cell.bias.chunk(4)
    # Rows of U are gates, columns are children.
    blocks = [row.split(HIDDEN, 1) for row in cell.weight_recurrent.split(HIDDEN)]
    children = drawn(2, 0, 1, arity)
    x, state = nodes(cell, children)
    for j, of_node in enumerate(children):

        def recurrent(gate, of_node=of_node):
            return sum((blocks[gate][k] @ h for k, (h, _) in enumerate(of_node)), torch.zeros(HIDDEN))

        i = torch.sigmoid(w_i @ x[j] + b_i + recurrent(0))
        o = torch.sigmoid(w_o @ x[j] + b_o + recurrent(1))
        u = torch.tanh(w_u @ x[j] + b_u + recurrent(2))
        c = i * u
        for k, (_, c_k) in enumerate(of_node):
            c = c + torch.sigmoid(w_f @ x[j] + b_f + recurrent(3 + k)) * c_k
        torch.testing.assert_close(state.c[j], c)
        torch.testing.assert_close(state.h[j], o * torch.tanh(c))


@pytest.mark.usefixtures("double")
def test_a_tree_lstm_of_chains_is_an_lstm():
    """As Tai et al. note in section 3."""
    torch.manual_seed(0)
    cell = scrambled(NaryTreeLSTM(INPUT, HIDDEN, 1))
    lstm = nn.LSTMCell(INPUT, HIDDEN)
    order = [0, 3, 2, 1]  # torch: i, f, g, o; ours: i, o, u, f
    with torch.no_grad():
        for theirs, ours in (
            (lstm.weight_ih, cell.weight_input),
            (lstm.weight_hh, cell.weight_recurrent),
            (lstm.bias_ih, cell.bias),
        ):
            theirs.copy_(torch.cat([ours.chunk(4)[block] for block in order]))
        lstm.bias_hh.zero_()
    children = drawn(2, 1, 1)
    x, state = nodes(cell, children)
    h, c = (torch.stack([of_node[0][part] for of_node in children]) for part in range(2))
    torch.testing.assert_close(tuple(state), lstm(x, (h, c)))


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize(("arity", "activation"), [(None, "tanh"), (2, "relu")])
def test_tree_elman_is_its_equation(arity, activation):
    torch.manual_seed(0)
    cell = scrambled(TreeElman(INPUT, HIDDEN, arity, activation))
    blocks = cell.weight_recurrent.split(HIDDEN, 1)
    children = drawn(1, 0, 1, 2)
    x, state = nodes(cell, children)
    for j, of_node in enumerate(children):
        a = cell.weight_input @ x[j] + cell.bias
        for k, (h,) in enumerate(of_node):
            a = a + blocks[k if arity else 0] @ h
        torch.testing.assert_close(state.h[j], getattr(torch, activation)(a))


def test_initial_values():
    cell = NaryTreeLSTM(INPUT, HIDDEN, 2, forget_bias=2.5)
    assert cell.bias.tolist() == [0.0] * 3 * HIDDEN + [2.5] * HIDDEN
    for block in cell.weight_recurrent.unfold(0, HIDDEN, HIDDEN).unfold(1, HIDDEN, HIDDEN).flatten(0, 1):
        torch.testing.assert_close(block @ block.T, torch.eye(HIDDEN), atol=1e-5, rtol=0)


def test_wrong_sizes_are_named():
    with pytest.raises(ValueError, match="NaryTreeLSTM: arity is 0; it must be at least 1"):
        NaryTreeLSTM(INPUT, HIDDEN, 0)
    with pytest.raises(ValueError, match="TreeElman: hidden_size is 0"):
        TreeElman(INPUT, 0)
    with pytest.raises(ValueError, match="TreeElman: activation is 'no'"):
        TreeElman(INPUT, HIDDEN, activation="no")
