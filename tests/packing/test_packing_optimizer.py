"""The stacked optimiser against torch.optim's, one a trial."""

import copy

import pytest
import torch
from torch import nn

from lit_seq.packing.clipping import Clipping, norms
from lit_seq.packing.optimizer import StackedOptimizer
from lit_seq.packing.update_rules import without_rule

ADAM = [{}, {"betas": (0.5, 0.9), "amsgrad": True}, {"eps": 1e-2, "maximize": True}, {"weight_decay": 0.1}]
KINDS = {
    "sgd": (
        torch.optim.SGD,
        [
            {},
            {"momentum": 0.9, "maximize": True},
            {"momentum": 0.5, "nesterov": True},
            {"weight_decay": 0.1, "maximize": True},
        ],
    ),
    "rmsprop": (
        torch.optim.RMSprop,
        [
            {},
            {"alpha": 0.9, "centered": True},
            {"momentum": 0.9},
            {"weight_decay": 0.1, "eps": 1e-3, "maximize": True},
        ],
    ),
    "adam": (torch.optim.Adam, ADAM),
    "adamw": (torch.optim.AdamW, ADAM),
    "amsgrad": (torch.optim.Adam, [{"amsgrad": True, **own} for own in ADAM]),
}
SHAPES = [(7, 5), (7,), (), (60, 50), (3, 2, 2), (2500,)]


def made(kind, rows):
    """Return parameters and optimiser of each trial, and those of the stack."""
    optimizer, options = KINDS[kind]
    chance = torch.Generator().manual_seed(0)
    values = [torch.randn(4, *shape, generator=chance, dtype=torch.float64) for shape in SHAPES]
    alone = [[nn.Parameter(value[row].clone()) for value in values] for row in rows]
    optimizers = [optimizer(alone[at], lr=0.01 * (row + 1), **options[row]) for at, row in enumerate(rows)]
    stacked = [nn.Parameter(value[rows].clone()) for value in values]
    return alone, optimizers, stacked, StackedOptimizer(stacked, [copy.copy(one) for one in optimizers])


def give_gradients(alone, stacked, step, without=()):
    chance = torch.Generator().manual_seed(step)
    for index, shape in enumerate(SHAPES):
        gradient = torch.randn(4, *shape, generator=chance, dtype=torch.float64)[: len(alone)]
        stacked[index].grad = None if index in without else gradient
        for row, parameters in enumerate(alone):
            parameters[index].grad = None if index in without else gradient[row].clone()


def check_equal(alone, optimizers, stacked, together):
    for row, (parameters, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
        for one, all_of_it in zip(parameters, stacked, strict=True):
            torch.testing.assert_close(all_of_it[row], one, rtol=1e-12, atol=1e-14)
            for name, value in optimizer.state[one].items():
                # SGD writes None where there is no momentum.
                if value is not None:
                    own = together.state[all_of_it][name]
                    torch.testing.assert_close(own[row].double(), value.double(), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("kind", KINDS)
def test_each_trial_is_updated_as_alone(kind):
    alone, optimizers, stacked, together = made(kind, [0, 1, 2, 3])
    # A parameter that is not used for a while is not updated, and counts its own steps.
    for step, without in enumerate([(4,), (4,), (), (1, 4), (), ()]):
        give_gradients(alone, stacked, step, without)
        for optimizer in (*optimizers, together):
            optimizer.step()
        check_equal(alone, optimizers, stacked, together)
        together.zero_grad()


@pytest.mark.parametrize("kind", KINDS)
def test_trials_leave_and_states_are_taken_up(kind):
    alone, optimizers, stacked, together = made(kind, [0, 1, 2, 3])
    for step in range(6):
        if step == 2:
            del alone[1], optimizers[1]
            stacked = [nn.Parameter(one.detach()[[0, 2, 3]]) for one in stacked]
            together.keep(stacked, [0, 2, 3])
        if step == 4:
            state = copy.deepcopy(together.state_dict())
            together = StackedOptimizer(stacked, together.trials)
            together.load_state_dict(state)
        give_gradients(alone, stacked, step)
        for optimizer in (*optimizers, together):
            optimizer.step()
        check_equal(alone, optimizers, stacked, together)
        together.zero_grad()


def test_options_without_a_rule_are_refused():
    """Of a newer torch, say: what is not read would be left out without a word."""
    parameters = [nn.Parameter(torch.zeros(2))]
    optimizer = torch.optim.Adam(parameters, amsgrad=True, foreach=True)
    assert without_rule(optimizer) is None
    optimizer.defaults["novel"] = True
    assert without_rule(optimizer) == "Adam with novel has no stacked form"
    assert without_rule(torch.optim.NAdam(parameters)) == "NAdam has no stacked form"


def test_gradients_that_were_not_used_are_forgotten():
    """As torch.amp's scaler does, which leaves a step out where a gradient has overflown."""
    alone, optimizers, stacked, together = made("sgd", [0, 1, 2, 3])
    give_gradients(alone, stacked, 0)
    together.gradients()
    together.zero_grad()
    give_gradients(alone, stacked, 1)
    for optimizer in (*optimizers, together):
        optimizer.step()
    check_equal(alone, optimizers, stacked, together)


@pytest.mark.parametrize("trials", [1, 2, 3])
def test_a_trial_has_the_same_numbers_in_a_stack_of_any_size(trials):
    rows = list(range(trials))
    found = []
    for size in (rows, [0, 1, 2, 3]):
        alone, _, stacked, together = made("adam", size)
        thresholds = [(1.0, "norm"), (None, "norm"), (0.1, "value"), (0.5, "norm")]
        give_gradients(alone, stacked, 0)
        before = norms(together.gradients())
        Clipping(thresholds[: len(size)])(together.gradients())
        together.step()
        found.append([part[:trials] for part in (before, *stacked)])
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_each_trial_is_clipped_as_alone():
    alone, _, stacked, together = made("sgd", [0, 1, 2, 3])
    give_gradients(alone, stacked, 0)
    stacked[0].grad[1, 0, 0] = torch.nan
    Clipping([(1.0, "norm"), (1.0, "norm"), (0.1, "value"), (None, "norm")])(together.gradients())
    nn.utils.clip_grad_norm_(alone[0], 1.0)
    nn.utils.clip_grad_value_(alone[2], 0.1)
    for row in (0, 2, 3):
        own = torch.cat([parameter.grad.flatten() for parameter in alone[row]])
        ours = torch.cat([gradient[row] for gradient in together.gradients()])
        torch.testing.assert_close(ours.sort().values, own.sort().values, rtol=1e-6, atol=0)
    assert all(gradient[1].isnan().all() for gradient in together.gradients())
