"""What `Core` promises, of every core in several forms."""

from functools import partial

import pytest
import torch
from torch.func import functional_call, stack_module_state, vmap
from torch.utils._pytree import tree_leaves, tree_map

from lit_seq.cells import GRU, LSTM, FeedForward
from lit_seq.cores import NTM, AttentionSummary, DelayTaps, MemoryNetwork, ReNet, Stack

CORES = {
    "deep": partial(Stack, cell=LSTM, hidden_size=4, layers=2, learned_initial_state=True),
    "residual": partial(Stack, cell=GRU, hidden_size=4, layers=3, skips="residual", recurrent_dropout=0.3),
    "dense": partial(Stack, cell=LSTM, hidden_size=4, layers=3, skips="dense", variational_dropout=0.3),
    "both-ways": partial(Stack, cell=GRU, hidden_size=4, layers=2, bidirectional=True, merge="sum"),
    "attention": partial(AttentionSummary, encoder=partial(Stack, cell=GRU, hidden_size=4), heads=2),
    "dot": partial(AttentionSummary, encoder=partial(Stack, cell=LSTM, hidden_size=4), score="scaled"),
    "taps": partial(DelayTaps, taps=4, reader=partial(Stack, cell=GRU, hidden_size=4)),
    "ntm": partial(NTM, cell=LSTM, hidden_size=5, rows=6, width=3, learned_initial_state=True),
    "ntm-heads": partial(NTM, cell=FeedForward, hidden_size=5, rows=6, width=3, read_heads=2, write_heads=2),
    "memory": partial(MemoryNetwork, hidden_size=4, words=2, hops=2),
    "renet": partial(ReNet, cell=GRU, hidden_size=3, patches=[2], learned_initial_state=True),
    "renets": partial(ReNet, cell=LSTM, hidden_size=3, patches=[1, 2], channels=2),
}
LENGTHS = torch.tensor([6, 2, 4])

pytestmark = [pytest.mark.usefixtures("double"), pytest.mark.parametrize("name", CORES)]


def build(name, seed=0):
    torch.manual_seed(seed)
    core = CORES[name](4)
    with torch.no_grad():
        for parameter in core.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return core


def total(core, inputs, lengths=None):
    outputs, state = core(inputs, None, lengths)
    return outputs.square().sum() + core.summary(state).square().sum()


def test_padding_changes_nothing(name):
    core = build(name).eval()
    inputs = torch.randn(6, 3, 4)
    noisy = inputs.clone()
    for index, length in enumerate(LENGTHS):
        noisy[length:, index] = torch.nan
    outputs, state = core(noisy, None, LENGTHS)
    summary = core.summary(state)
    assert outputs.shape == (6, 3, core.output_size)
    assert summary.shape == (3, core.output_size)
    total(core, noisy, LENGTHS).backward()
    together = {key: parameter.grad.clone() for key, parameter in core.named_parameters()}
    core.zero_grad()
    for index, length in enumerate(LENGTHS.tolist()):
        one = inputs[:length, index : index + 1]
        alone, end = core(one)
        torch.testing.assert_close(outputs[:length, index : index + 1], alone, rtol=0, atol=1e-12)
        torch.testing.assert_close(summary[index : index + 1], core.summary(end), rtol=0, atol=1e-12)
        assert (outputs[length:, index] == 0).all()
        total(core, one).backward()
    for key, parameter in core.named_parameters():
        torch.testing.assert_close(together[key], parameter.grad, rtol=1e-9, atol=1e-11)


def test_a_causal_core_reads_from_left_to_right_and_goes_on_from_its_state(name):
    core = build(name).eval()
    inputs = torch.randn(6, 3, 4)
    outputs, end = core(inputs)
    if not core.causal:
        other = torch.cat([inputs[:5], inputs[5:] + 1])
        assert not torch.allclose(core(other)[0][:5], outputs[:5])
        return
    head, state = core(inputs[:4])
    torch.testing.assert_close(head, outputs[:4], rtol=0, atol=1e-12)
    tail, state = core(inputs[4:], state)
    torch.testing.assert_close(tail, outputs[4:], rtol=0, atol=1e-12)
    for left, right in zip(tree_leaves(state), tree_leaves(end), strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=1e-12)


def test_no_state_is_the_initial_state(name):
    core = build(name).eval()
    inputs = torch.randn(6, 3, 4)
    torch.testing.assert_close(core(inputs, core.initial_state(3))[0], core(inputs)[0], rtol=0, atol=0)


class Total(torch.nn.Module):
    def __init__(self, core):
        super().__init__()
        self.core = core

    def forward(self, inputs):
        return total(self.core, inputs, LENGTHS)


def test_stacked_trials_equal_single_ones(name):
    trials = [Total(build(name, seed).eval()) for seed in range(3)]
    values = stack_module_state(trials)
    inputs = torch.randn(3, 6, 3, 4)
    losses = vmap(lambda state, x: functional_call(trials[0], state, (x,)))(values, inputs)
    losses.sum().backward()
    for index, trial in enumerate(trials):
        one = trial(inputs[index])
        one.backward()
        torch.testing.assert_close(losses[index], one, rtol=1e-11, atol=0)
        for key, parameter in trial.named_parameters():
            torch.testing.assert_close(values[0][key].grad[index], parameter.grad, rtol=1e-8, atol=1e-11)


def test_a_copy_with_the_saved_values_gives_the_same(name, tmp_path):
    core = build(name).eval()
    torch.save(core.state_dict(), tmp_path / "core.pt")
    other = build(name, seed=1).eval()
    other.load_state_dict(torch.load(tmp_path / "core.pt", weights_only=True))
    inputs = torch.randn(6, 3, 4)
    outputs, state = core(inputs, None, LENGTHS)
    again, end = other(inputs, None, LENGTHS)
    assert torch.equal(outputs, again)
    assert torch.equal(core.summary(state), other.summary(end))


def test_lengths_of_zero_are_refused(name):
    with pytest.raises(ValueError, match="from 0 to 6; each must be from 1 to 6"):
        build(name)(torch.randn(6, 3, 4), None, torch.tensor([6, 0, 2]))


def test_a_state_detaches(name):
    core = build(name)
    _, state = core(torch.randn(6, 3, 4))
    leaves = tree_leaves(tree_map(torch.detach, state))
    assert leaves
    assert all(isinstance(leaf, torch.Tensor) and leaf.shape[0] == 3 for leaf in leaves)
