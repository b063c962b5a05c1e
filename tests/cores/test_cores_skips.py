"""What a stack has between and beside its layers: skips, merged directions, dropout, learned starts."""

import pytest
import torch
from torch import nn

from lit_seq.cells import GRU, LSTM, Cell, Elman
from lit_seq.cores import Stack
from lit_seq.scan import scan

pytestmark = pytest.mark.usefixtures("double")


def layer(cells, inputs, merge, lengths):
    forward, backward = (scan(cell, inputs, None, lengths, bool(i))[0] for i, cell in enumerate(cells))
    return forward + backward if merge == "sum" else torch.cat([forward, backward], -1)


@pytest.mark.parametrize("merge", ["concatenate", "sum"])
@pytest.mark.parametrize("skips", ["none", "residual", "dense"])
def test_skips_by_hand(skips, merge):
    torch.manual_seed(0)
    stack = Stack(3, GRU, 4, layers=3, skips=skips, bidirectional=True, merge=merge)
    x, lengths = torch.randn(5, 2, 3), torch.tensor([5, 3])
    h1 = layer(stack.layers[0], x, merge, lengths)
    if skips == "none":
        h2 = layer(stack.layers[1], h1, merge, lengths)
        expected = layer(stack.layers[2], h2, merge, lengths)
    elif skips == "residual":
        h2 = layer(stack.layers[1], h1, merge, lengths)
        expected = h1 + h2 + layer(stack.layers[2], h1 + h2, merge, lengths)
    else:
        h2 = layer(stack.layers[1], torch.cat([x, h1], -1), merge, lengths)
        h3 = layer(stack.layers[2], torch.cat([x, h1, h2], -1), merge, lengths)
        expected = torch.cat([h1, h2, h3], -1)
    outputs, _ = stack(x, None, lengths)
    assert outputs.shape[-1] == stack.output_size
    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("skips", ["none", "residual", "dense"])
def test_the_summary_is_the_last_output(skips):
    torch.manual_seed(0)
    stack = Stack(3, LSTM, 4, layers=3, skips=skips)
    lengths = torch.tensor([5, 3])
    outputs, state = stack(torch.randn(5, 2, 3), None, lengths)
    expected = torch.stack([outputs[4, 0], outputs[2, 1]])
    torch.testing.assert_close(stack.summary(state), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("merge", ["concatenate", "sum"])
@pytest.mark.parametrize("skips", ["none", "residual", "dense"])
def test_the_summary_of_two_directions_is_both_ends(skips, merge):
    torch.manual_seed(0)
    joined = Stack(3, LSTM, 4, layers=1, skips=skips, bidirectional=True, merge=merge)
    outputs, state = joined(torch.randn(5, 2, 3))
    if merge == "concatenate":
        expected = torch.cat([outputs[-1, :, :4], outputs[0, :, 4:]], -1)
        torch.testing.assert_close(joined.summary(state), expected, rtol=0, atol=1e-12)
    else:
        ends = [cell.output(end) for cell, end in zip(joined.layers[0], state[0], strict=True)]
        torch.testing.assert_close(joined.summary(state), ends[0] + ends[1], rtol=0, atol=1e-12)


def test_variational_dropout_keeps_its_mask_for_all_steps_of_a_sequence():
    torch.manual_seed(0)
    stack = Stack(3, Elman, 50, layers=2, variational_dropout=0.4)
    seen = []
    stack.variational_dropout.register_forward_hook(lambda _, read, dropped: seen.append((*read, dropped)))
    inputs = torch.randn(6, 8, 3)
    stack(inputs)
    ((below, dropped),) = seen
    torch.testing.assert_close(below, scan(stack.layers[0][0], inputs)[0], rtol=0, atol=0)
    mask = dropped / below
    assert torch.equal(mask == 0, (mask == 0)[:1].expand_as(mask))
    torch.testing.assert_close(mask[mask != 0], torch.full_like(mask[mask != 0], 1 / 0.6))
    zeroed = (mask[0] == 0).double()
    # 400 draws: the mean is within 4 standard deviations, .098, of the rate.
    assert abs(zeroed.mean() - 0.4) < 0.1
    assert not torch.equal(zeroed[0], zeroed[1])
    stack.eval()
    stack(inputs)
    assert torch.equal(*seen[1])


def test_recurrent_dropout_hides_units_from_the_recurrent_matrix_only():
    torch.manual_seed(0)
    stack = Stack(3, LSTM, 6, recurrent_dropout=0.5)
    cell = stack.layers[0][0]
    inputs = torch.randn(7, 2, 3)
    torch.manual_seed(1)
    outputs, _ = stack(inputs)
    torch.manual_seed(1)
    mask = nn.functional.dropout(torch.ones(6), 0.5)
    assert 0 < (mask == 0).sum() < 6
    h, c = torch.zeros(2, 6), torch.zeros(2, 6)
    for t, x in enumerate(inputs):
        gates = x @ cell.weight_input.T + cell.bias + (h * mask) @ cell.weight_recurrent.T
        i, f, g, o = gates.chunk(4, -1)
        c = f.sigmoid() * c + i.sigmoid() * g.tanh()
        h = o.sigmoid() * c.tanh()
        torch.testing.assert_close(outputs[t], h, rtol=0, atol=1e-12)
    outputs.sum().backward()
    assert (cell.weight_recurrent.grad[:, mask == 0] == 0).all()
    assert cell.weight_recurrent.grad[:, mask != 0].abs().min() > 0


class TwoSizes(Cell):
    """A cell whose state has another size and a counter beside h: what others may be like."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.gru = GRU(input_size, hidden_size)

    def reset_parameters(self):
        self.gru.reset_parameters()

    def project(self, inputs):
        return self.gru.project(inputs)

    def step(self, projected, state):
        (h,) = self.gru.step(projected, type(self.gru.initial_state(1))(state[0] + state[1].sum(-1, True)))
        return type(state)(h, state[1] * 0.5, state[2] + 1)

    def initial_state(self, batch):
        return State(torch.zeros(batch, self.hidden_size), torch.ones(batch, 3), torch.zeros(batch, 1).long())


class State(tuple):
    __slots__ = ()

    def __new__(cls, *fields):
        return super().__new__(cls, fields)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_learned_start_takes_any_state(bidirectional):
    plain = Stack(3, TwoSizes, 4, layers=2, bidirectional=bidirectional)
    learned = Stack(3, TwoSizes, 4, layers=2, bidirectional=bidirectional, learned_initial_state=True)
    learned.load_state_dict(plain.state_dict(), strict=False)
    sizes = [tuple(parameter.shape) for parameter in learned.initial]
    assert sizes == [(4,), (3,)] * (4 if bidirectional else 2)
    # A learned start begins at the cell's own, which is not zero here; the counter is a number still.
    inputs = torch.randn(5, 2, 3)
    torch.testing.assert_close(learned(inputs)[0], plain(inputs)[0], rtol=0, atol=0)
    _, state = learned(inputs)
    assert state[1][0][2].tolist() == [[5], [5]]
    learned(inputs)[0].square().sum().backward()
    assert all(parameter.grad.abs().min() > 0 for parameter in learned.initial)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"variational_dropout": 1.0}, "variational_dropout is 1.0"),
        ({"recurrent_dropout": -0.5}, "recurrent_dropout is -0.5"),
        ({"cell": TwoSizes, "recurrent_dropout": 0.5}, "TwoSizes has no single matrix"),
    ],
)
def test_wrong_option_is_named(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Stack(3, **options)
