"""NARMA-10, Mackey-Glass and the running sum: against loops written from their equations."""

import pytest
import torch

from lit_seq.data import NARMA10, MackeyGlass, RunningSum, Task
from lit_seq.errors import UserError

KINDS = [NARMA10, MackeyGlass, RunningSum]


def first(data):
    return next(iter(data.train_dataloader()))


def test_narma_follows_its_equation():
    batch = first(NARMA10(length=60, batch_size=3))
    assert batch.inputs.shape == batch.targets.shape == (3, 60, 1)
    assert batch.inputs.dtype == batch.targets.dtype == torch.float32
    for u, target in zip(batch.inputs[..., 0].tolist(), batch.targets[..., 0].tolist(), strict=True):
        y = [0.0]
        for t in range(60):
            recent = sum(y[max(0, t - 9) : t + 1])
            late = u[t - 9] if t >= 9 else 0.0
            y.append(0.3 * y[t] + 0.05 * y[t] * recent + 1.5 * late * u[t] + 0.1)
        assert target == pytest.approx(y[1:], abs=2e-6)


def test_narma_draws_runaways_anew():
    # 1,000 sequences of 3,000 steps: about 15 would run away.
    batch = NARMA10(length=3000).generate(1000, torch.Generator().manual_seed(0))
    assert 1 < batch.targets.max() <= 1.5
    assert batch.inputs.min() >= 0
    assert batch.inputs.max() < 0.5
    # u is as it was: mean 1/4, variance 1/48; 5 standard deviations of a mean of 3,000,000
    assert batch.inputs.mean().item() == pytest.approx(0.25, abs=5 * (1 / 48 / 3e6) ** 0.5)


@pytest.mark.parametrize(("delay", "ahead"), [(17, 6), (17, 1), (30, 84), (1, 1)])
def test_mackey_glass_is_eulers_method(delay, ahead):
    batch = MackeyGlass(length=50, delay=delay, ahead=ahead).generate(2, torch.Generator().manual_seed(3))
    start = 0.5 + torch.rand(2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    for row in range(2):
        x = [start[row].item()] * (10 * delay + 1)
        for _ in range(10 * (1000 + 50 + ahead)):
            late = x[-1 - 10 * delay]
            x.append(x[-1] + 0.1 * (0.2 * late / (1 + late**10) - 0.1 * x[-1]))
        series = x[10 * delay :: 10]
        assert batch.inputs[row, :, 0].tolist() == pytest.approx(series[1000:1050], abs=1e-6)
        assert batch.targets[row, :, 0].tolist() == pytest.approx(
            series[1000 + ahead : 1050 + ahead], abs=1e-6
        )


def test_mackey_glass_is_chaos_around_its_known_mean():
    x = MackeyGlass(length=500).generate(500, torch.Generator().manual_seed(0)).inputs
    # the attractor of τ = 17: published series have mean .93 and standard deviation .22 to .23
    assert x.mean().item() == pytest.approx(0.93, abs=0.01)
    assert x.std().item() == pytest.approx(0.226, abs=0.01)
    assert x.std(1).min() > 0.1


@pytest.mark.parametrize("modulus", [2, 5])
def test_running_sum_counts(modulus):
    batch = first(RunningSum(length=30, modulus=modulus, batch_size=4))
    for inputs, targets in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        y = 0
        for x, target in zip(inputs, targets, strict=True):
            y = (y + x) % modulus
            assert target == y
    assert set(batch.inputs.flatten().tolist()) == set(range(modulus))


def test_tasks():
    assert NARMA10().task == MackeyGlass().task == Task("vectors", 1, "values", 1, "step")
    assert RunningSum(modulus=3).task == Task("tokens", 3, "classes", 3, "step")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("length", [1, 7, 60])
def test_any_length_and_reproducible(kind, length):
    def epochs(**arguments):
        loader = kind(length=length, train_batches=2, batch_size=3, **arguments).train_dataloader()
        found = []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            found += [[batch.inputs.tolist(), batch.targets.tolist()] for batch in loader]
        return found

    drawn = epochs(seed=1)
    assert len(drawn[0][0][0]) == len(drawn[0][1][0]) == length
    assert epochs(seed=1, validation_seed=5) == drawn
    assert epochs(seed=2) != drawn

    def held_out(**arguments):
        data = kind(length=length, validation_size=9, test_size=9, **arguments)
        return [
            torch.cat([batch.inputs for batch in loader]).tolist()
            for loader in (data.val_dataloader(), data.test_dataloader())
        ]

    validation, test = held_out(seed=1, batch_size=4)
    assert held_out(seed=2, batch_size=7) == [validation, test]
    assert validation != test


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (NARMA10, {"length": 0}, "NARMA10: length is 0; it must be at least 1."),
        (MackeyGlass, {"length": 0}, "MackeyGlass: length is 0; it must be at least 1."),
        (MackeyGlass, {"ahead": 0}, "MackeyGlass: ahead is 0; it must be at least 1."),
        (MackeyGlass, {"delay": 0}, "MackeyGlass: delay is 0; it must be at least 1."),
        (RunningSum, {"length": 0}, "RunningSum: length is 0; it must be at least 1."),
        (RunningSum, {"modulus": 1}, "RunningSum: modulus is 1; it must be at least 2."),
    ],
)
def test_wrong_arguments_are_named(kind, arguments, sentence):
    with pytest.raises(UserError) as error:
        kind(**arguments)
    assert str(error.value) == sentence
