import torch

from lit_seq.cells import FeedForward
from lit_seq.scan import scan


def test_it_is_one_layer_a_step_and_forgets():
    torch.manual_seed(0)
    cell = FeedForward(3, 4)
    inputs = torch.randn(5, 2, 3)
    outputs, state = scan(cell, inputs)
    expected = torch.tanh(torch.einsum("tbi,hi->tbh", inputs, cell.weight_input) + cell.bias)
    torch.testing.assert_close(outputs, expected)
    torch.testing.assert_close(state.h, expected[-1])
