"""The echo state reservoir: its equation, and options that hold exactly for the numbers drawn."""

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import EchoState
from lit_seq.scan import scan


def build(**options):
    torch.manual_seed(3)
    return EchoState(2, 6, **{"sparsity": 0.5, **options}).double()


def by_hand(cell, inputs, h):
    """The equation, number by number."""
    w, u, b, leak = (
        x.tolist() for x in (cell.weight_input, cell.weight_recurrent, cell.bias, cell.leak_rate)
    )
    outputs = []
    for x in inputs.tolist():
        total = [
            sum(w[i][j] * x[j] for j in range(2)) + sum(u[i][j] * h[j] for j in range(6)) + b[i]
            for i in range(6)
        ]
        h = [(1 - leak[i]) * h[i] + leak[i] * math.tanh(total[i]) for i in range(6)]
        outputs.append(h)
    return torch.tensor(outputs, dtype=torch.float64)


@pytest.mark.parametrize("leak", [1.0, 0.3, [0.1, 0.9]])
@pytest.mark.parametrize("reverse", [False, True])
def test_equation_with_lengths(leak, reverse):
    cell, inputs = build(leak=leak, bias_scale=0.5), torch.randn(7, 3, 2, dtype=torch.float64)
    lengths = torch.tensor([7, 1, 4])
    outputs, state = scan(cell, inputs, None, lengths, reverse)
    for row, length in enumerate(lengths.tolist()):
        own = inputs[:length, row]
        expected = by_hand(cell, own.flip(0) if reverse else own, [0.0] * 6)
        torch.testing.assert_close(state.h[row], expected[-1], rtol=0, atol=1e-12)
        expected = expected.flip(0) if reverse else expected
        torch.testing.assert_close(outputs[:length, row], expected, rtol=0, atol=1e-12)
        assert not outputs[length:, row].any()


@pytest.mark.parametrize("size", [20, 101])
@pytest.mark.parametrize("radius", [0.3, 0.95, 1.25])
@pytest.mark.parametrize("sparsity", [0.0, 0.77, 0.9])
def test_options_hold_exactly(size, radius, sparsity):
    torch.manual_seed(0)
    cell = EchoState(3, size, radius, sparsity, input_scale=0.4, bias_scale=0.15, leak=0.5)
    u = cell.weight_recurrent.numpy().astype(np.float64)
    # float32 rounds the weights, and an eigenvalue is a little more sensitive than they are
    assert np.abs(np.linalg.eigvals(u)).max() == pytest.approx(radius, rel=1e-5)
    assert (u == 0).sum() == round(sparsity * size**2)
    assert cell.weight_input.abs().max().item() == pytest.approx(0.4, rel=1e-6)
    assert cell.bias.abs().max().item() == pytest.approx(0.15, rel=1e-6)
    assert (cell.weight_input < 0).any()
    assert (cell.weight_input > 0).any()


def test_nothing_is_trained_and_all_is_saved():
    cell = build()
    assert not list(cell.parameters())
    assert set(cell.state_dict()) == {"weight_input", "weight_recurrent", "bias", "leak_rate"}
    other = EchoState(2, 6, leak=0.1).double()
    other.load_state_dict(cell.state_dict())
    inputs = torch.randn(5, 2, 2, dtype=torch.float64)
    assert torch.equal(scan(cell, inputs)[0], scan(other, inputs)[0])


def test_gradient_reaches_what_comes_before():
    cell = build()
    inputs = torch.randn(5, 2, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: scan(cell, x)[0], inputs)


def test_an_echo_fades():
    cell = build(spectral_radius=0.5)
    inputs = torch.randn(100, 1, 2, dtype=torch.float64)
    zero, other = (scan(cell, inputs, type(cell.initial_state(1))(h))[1].h for h in _states())
    torch.testing.assert_close(zero, other, rtol=0, atol=1e-12)


def _states():
    return torch.zeros(1, 6, dtype=torch.float64), torch.ones(1, 6, dtype=torch.float64)


def test_stacked_trials_of_different_options_equal_single_ones():
    cells = [
        build(spectral_radius=radius, sparsity=sparsity, leak=leak)
        for radius, sparsity, leak in ((0.5, 0.5, 1.0), (0.9, 0.2, 0.3), (1.2, 0.7, 0.1))
    ]
    parameters, buffers = stack_module_state(cells)
    inputs, lengths = torch.randn(6, 2, 2, dtype=torch.float64), torch.tensor([6, 3])

    class Scanned(torch.nn.Module):
        def __init__(self, cell):
            super().__init__()
            self.cell = cell

        def forward(self, inputs):
            return scan(self.cell, inputs, None, lengths)[0]

    template = Scanned(cells[0])

    def one(buffers):
        named = {f"cell.{name}": value for name, value in buffers.items()}
        return functional_call(template, named, (inputs,))

    assert not parameters
    stacked = vmap(one)(buffers)
    for index, cell in enumerate(cells):
        torch.testing.assert_close(stacked[index], scan(cell, inputs, None, lengths)[0], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"spectral_radius": 0}, "EchoState: spectral_radius is 0; it must be above 0."),
        ({"spectral_radius": -0.5}, "EchoState: spectral_radius is -0.5; it must be above 0."),
        ({"spectral_radius": math.nan}, "EchoState: spectral_radius is nan; it must be above 0."),
        ({"sparsity": 1.0}, "EchoState: sparsity is 1.0; it must be at least 0 and below 1."),
        ({"sparsity": -0.1}, "EchoState: sparsity is -0.1; it must be at least 0 and below 1."),
        ({"input_scale": 0.0}, "EchoState: input_scale is 0.0; it must be above 0."),
        ({"bias_scale": -1.0}, "EchoState: bias_scale is -1.0; it must be at least 0."),
        ({"leak": 0.0}, "EchoState: leak is 0.0; it must be above 0 and at most 1."),
        ({"leak": 1.5}, "EchoState: leak is 1.5; it must be above 0 and at most 1."),
    ],
)
def test_wrong_options_are_named(options, sentence):
    with pytest.raises(ValueError) as error:
        EchoState(1, 5, **options)
    assert str(error.value) == sentence


def test_too_sparse_for_a_spectral_radius():
    with pytest.raises(ValueError, match="the 0 weights among 3 units form no loop"):
        EchoState(1, 3, sparsity=0.99)
    # One weight is a loop only on the diagonal, a quarter of the places: it is drawn again.
    torch.manual_seed(0)
    u = EchoState(1, 4, 0.8, sparsity=15 / 16).weight_recurrent
    assert u.diag().abs().sum().item() == pytest.approx(0.8)
    assert (u != 0).sum() == 1
