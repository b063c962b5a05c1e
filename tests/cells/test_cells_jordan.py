"""The Jordan network's hidden layer: its equation for all steps at once, as the loop gives it."""

import math

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import FeedForward, Jordan
from lit_seq.scan import implementation, reference, scan

pytestmark = pytest.mark.usefixtures("double")


def test_equation_by_hand():
    cell = Jordan(3, 2, "sigmoid")
    with torch.no_grad():
        cell.weight_input.copy_(torch.tensor([[1.0, 2.0, -1.0], [0.5, 0.0, 3.0]]))
        cell.bias.copy_(torch.tensor([0.25, -0.5]))
    outputs, state = scan(cell, torch.tensor([[[1.0, -1.0, 0.5]], [[0.0, 0.0, 1.0]]]))
    sums = [[1 - 2 - 0.5 + 0.25, 0.5 + 1.5 - 0.5], [-1 + 0.25, 3 - 0.5]]
    expected = [[1 / (1 + math.exp(-x)) for x in step] for step in sums]
    torch.testing.assert_close(outputs[:, 0], torch.tensor(expected), rtol=0, atol=1e-15)
    torch.testing.assert_close(state.h, outputs[-1])


@pytest.mark.parametrize("kind", [Jordan, FeedForward])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 1, 3])])
def test_all_steps_at_once_equal_the_loop(kind, reverse, lengths):
    torch.manual_seed(0)
    cell, inputs = kind(3, 4), torch.randn(5, 3, 3)
    assert implementation(cell, inputs, lengths).name == "fused"
    outputs, state = scan(cell, inputs, None, lengths, reverse)
    for row, length in enumerate([5, 5, 5] if lengths is None else lengths.tolist()):
        one = inputs[:length, row : row + 1]
        expected, end = reference.run(cell, one.flip(0) if reverse else one, cell.initial_state(1), None)
        expected = expected.flip(0) if reverse else expected
        torch.testing.assert_close(outputs[:length, row : row + 1], expected, rtol=0, atol=1e-14)
        torch.testing.assert_close(state.h[row : row + 1], end.h, rtol=0, atol=1e-14)
        assert not outputs[length:, row].any()


def test_stacked_trials_equal_single_ones():
    torch.manual_seed(0)
    cells, inputs = [Jordan(3, 4) for _ in range(3)], torch.randn(5, 2, 3)
    parameters, _ = stack_module_state(cells)
    stacked = vmap(lambda values: functional_call(cells[0], values, (inputs,)))
    cells[0].forward = lambda x: scan(cells[0], x, None, torch.tensor([5, 2]))[0]
    outputs = stacked(parameters)
    outputs.square().sum().backward()
    for index in (1, 2):
        one = scan(cells[index], inputs, None, torch.tensor([5, 2]))[0]
        one.square().sum().backward()
        torch.testing.assert_close(outputs[index], one, rtol=0, atol=1e-14)
        for name, parameter in cells[index].named_parameters():
            torch.testing.assert_close(parameters[name].grad[index], parameter.grad, rtol=1e-12, atol=0)


def test_wrong_options_are_named():
    with pytest.raises(ValueError, match=r"^Jordan: activation is 'nonsense'; it must be"):
        Jordan(1, 2, "nonsense")
    with pytest.raises(ValueError, match=r"^Jordan: hidden_size is 0; it must be at least 1\.$"):
        Jordan(1, 0)
