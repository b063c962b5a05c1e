from functools import partial
from itertools import product

import pytest
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import GRU, LSTM, Elman
from lit_seq.cores import Stack

CELLS = [Elman, partial(Elman, activation="relu"), LSTM, partial(LSTM, peepholes=True), GRU]

pytestmark = pytest.mark.usefixtures("double")


def copy_into_torch(stack, twin):
    """Give `torch.nn`'s stack our weights, and zero where it has a second bias."""
    for index, layer in enumerate(stack.layers):
        for cell, suffix in zip(layer, ("", "_reverse"), strict=False):
            with torch.no_grad():
                getattr(twin, f"weight_ih_l{index}{suffix}").copy_(cell.weight_input)
                getattr(twin, f"weight_hh_l{index}{suffix}").copy_(cell.weight_recurrent)
                getattr(twin, f"bias_ih_l{index}{suffix}").copy_(cell.bias)
                getattr(twin, f"bias_hh_l{index}{suffix}").zero_()


@pytest.mark.parametrize(("cell", "twin"), [(Elman, nn.RNN), (LSTM, nn.LSTM), (GRU, nn.GRU)])
@pytest.mark.parametrize(("layers", "bidirectional"), product((1, 2), (False, True)))
def test_equals_torch_with_lengths(cell, twin, layers, bidirectional):
    torch.manual_seed(0)
    stack = Stack(3, cell, hidden_size=5, layers=layers, bidirectional=bidirectional)
    twin = twin(3, 5, num_layers=layers, bidirectional=bidirectional)
    copy_into_torch(stack, twin)
    inputs, lengths = torch.randn(7, 4, 3), torch.tensor([7, 2, 5, 1])

    outputs, state = stack(inputs, lengths=lengths)
    packed = nn.utils.rnn.pack_padded_sequence(inputs, lengths, enforce_sorted=False)
    expected, final = twin(packed)
    expected, _ = nn.utils.rnn.pad_packed_sequence(expected)
    hidden = final[0] if isinstance(final, tuple) else final

    torch.testing.assert_close(outputs, expected, rtol=0, atol=1e-12)
    directions = 2 if bidirectional else 1
    top = torch.cat(list(hidden[-directions:]), dim=-1)
    torch.testing.assert_close(stack.summary(state), top, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", CELLS)
def test_carrying_the_state_equals_one_long_scan(cell):
    torch.manual_seed(0)
    stack = Stack(3, cell, hidden_size=4, layers=2)
    inputs = torch.randn(10, 2, 3)
    whole, end = stack(inputs)
    first, state = stack(inputs[:4])
    second, state = stack(inputs[4:], state)
    torch.testing.assert_close(torch.cat([first, second]), whole, rtol=0, atol=1e-12)
    torch.testing.assert_close(state, end, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("cell", "bidirectional"), product(CELLS, (False, True)))
def test_padding_changes_nothing(cell, bidirectional):
    torch.manual_seed(0)
    stack = Stack(3, cell, hidden_size=4, layers=2, bidirectional=bidirectional, learned_initial_state=True)
    with torch.no_grad():
        for initial in stack.initial:
            initial.normal_()
    lengths = torch.tensor([6, 3])
    inputs = torch.randn(6, 2, 3)
    noisy = inputs.clone()
    noisy[3:, 1] = 1e3

    outputs, state = stack(noisy, lengths=lengths)
    outputs.square().sum().backward()
    together = [parameter.grad.clone() for parameter in stack.parameters()]
    stack.zero_grad()
    alone = []
    for index, length in enumerate(lengths):
        one, end = stack(inputs[:length, index : index + 1])
        one.square().sum().backward()
        alone.append(one)
        torch.testing.assert_close(outputs[:length, index : index + 1], one, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            stack.summary(state)[index : index + 1], stack.summary(end), rtol=0, atol=1e-12
        )
    assert outputs[3:, 1].abs().max() == 0
    for one, parameter in zip(together, stack.parameters(), strict=True):
        torch.testing.assert_close(one, parameter.grad, rtol=1e-10, atol=1e-12)


def test_learned_initial_state_is_trained_for_every_layer_direction_and_field():
    stack = Stack(3, LSTM, hidden_size=4, layers=2, bidirectional=True, learned_initial_state=True)
    stack(torch.randn(5, 2, 3))[0].square().sum().backward()
    assert len(stack.initial) == 2 * 2 * 2
    assert all(initial.grad.abs().max() > 0 for initial in stack.initial)


def test_dropout_acts_between_layers_only_and_only_in_training():
    torch.manual_seed(0)
    inputs = torch.randn(5, 2, 3)
    single = Stack(3, GRU, hidden_size=4, dropout=0.5)
    assert torch.equal(single(inputs)[0], single(inputs)[0])
    double = Stack(3, GRU, hidden_size=4, layers=2, dropout=0.5)
    assert not torch.equal(double(inputs)[0], double(inputs)[0])
    double.eval()
    assert torch.equal(double(inputs)[0], double(inputs)[0])


@pytest.mark.parametrize("trials", [1, 3, 8])
@pytest.mark.parametrize("cell", CELLS)
def test_stacked_trials_equal_single_ones(cell, trials):
    torch.manual_seed(0)
    stacks = [Stack(3, cell, hidden_size=4, layers=2, bidirectional=True) for _ in range(trials)]
    parameters, buffers = stack_module_state(stacks)
    inputs, lengths = torch.randn(6, 2, 3), torch.tensor([6, 4])

    def loss(parameters, buffers):
        return functional_call(stacks[0], (parameters, buffers), (inputs, None, lengths))[0].square().sum()

    losses = vmap(loss)(parameters, buffers)
    losses.sum().backward()
    for index, stack in enumerate(stacks):
        one = stack(inputs, None, lengths)[0].square().sum()
        one.backward()
        torch.testing.assert_close(losses[index], one, rtol=1e-12, atol=0)
        for name, parameter in stack.named_parameters():
            torch.testing.assert_close(parameters[name].grad[index], parameter.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("option", "value"), [("layers", 0), ("dropout", 1.0), ("dropout", -0.1)])
def test_wrong_option_is_named(option, value):
    with pytest.raises(ValueError, match=rf"{option} is {value}"):
        Stack(3, **{option: value})
