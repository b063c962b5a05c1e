import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.data import AddingProblem, CopyingMemory, Task
from lit_seq.errors import UserError


def everything(loader):
    batches = list(loader)
    return torch.cat([b.inputs for b in batches]), torch.cat([b.targets for b in batches])


@settings(deadline=None)
@given(st.integers(2, 30), st.integers(0, 2**64 - 1))
def test_adding_marks_one_number_in_each_half(length, seed):
    batch = next(iter(AddingProblem(length=length, batch_size=8, seed=seed).train_dataloader()))
    assert batch.inputs.shape == (8, length, 2)
    assert batch.targets.shape == (8, 1)
    for sequence, target in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        marked = [step for step, (_, mark) in enumerate(sequence) if mark == 1]
        assert len(marked) == 2
        assert marked[0] < length // 2 <= marked[1]
        assert sum(mark for _, mark in sequence) == 2
        assert target[0] == pytest.approx(sum(sequence[step][0] for step in marked), abs=1e-6)


def test_adding_spreads_numbers_and_marks_evenly():
    inputs, _ = everything(AddingProblem(length=10, validation_size=20_000).val_dataloader())
    marks = inputs[..., 1].mean(0)
    # 5 standard deviations of a mean of 20,000 draws with probability 1/5
    assert (marks - 0.2).abs().max() < 5 * math.sqrt(0.2 * 0.8 / 20_000)
    assert abs(inputs[..., 0].mean() - 0.5) < 5 * math.sqrt(1 / 12 / 200_000)


def test_constant_answer_to_adding_has_an_error_of_one_sixth():
    data = AddingProblem(length=20, validation_size=100_000, validation_seed=5)
    _, targets = everything(data.val_dataloader())
    # (U + V - 1)² has mean 1/6 and, by its fourth moment 1/15, variance 7/180: 5 standard deviations
    assert ((targets - 1) ** 2).mean().item() == pytest.approx(1 / 6, abs=5 * math.sqrt(7 / 180 / 100_000))


@settings(deadline=None)
@given(st.integers(1, 20), st.integers(1, 12), st.integers(0, 9))
def test_copying_asks_for_the_symbols_after_the_blank(length, symbols, seed):
    data = CopyingMemory(length=length, symbols=symbols, batch_size=4, seed=seed)
    batch = next(iter(data.train_dataloader()))
    for given_, wanted in zip(batch.inputs.tolist(), batch.targets.tolist(), strict=True):
        memory = given_[:symbols]
        assert set(memory) <= set(range(1, 9))
        assert given_ == memory + [0] * (length - 1) + [9] + [0] * symbols
        assert wanted == [0] * (length + symbols) + memory


def test_copying_has_the_memoryless_baseline_of_its_paper():
    # Arjovsky, Shah & Bengio 2016 via shared/studies.md B: 10·ln 8/(T + 20)
    published = {100: 0.173, 200: 0.0945, 300: 0.0650, 500: 0.0400}
    for length, baseline in published.items():
        data = CopyingMemory(length=length, validation_size=2000)
        _, targets = everything(data.val_dataloader())
        assert targets.shape == (2000, length + 20)
        # probabilities of the best answer without memory: certain blanks, then every symbol alike
        probability = torch.full((length + 20, data.task.target_size), 1 / 8)
        probability[:, 0] = 0
        probability[: length + 10] = torch.eye(data.task.target_size)[0]
        nats = -probability[torch.arange(length + 20), targets].log().mean().item()
        assert nats == pytest.approx(10 * math.log(8) / (length + 20), rel=1e-5)
        assert nats == pytest.approx(baseline, abs=6e-4)
        counts = torch.bincount(targets[:, -10:].flatten(), minlength=9)
        assert counts[0] == 0
        assert (counts[1:] / 20_000 - 1 / 8).abs().max() < 5 * math.sqrt(7 / 64 / 20_000)


@pytest.mark.parametrize("data", [AddingProblem, CopyingMemory])
def test_seed_decides_training_and_nothing_else_does(data):
    def train(**arguments):
        loader = data(length=6, train_batches=3, batch_size=2, **arguments).train_dataloader()
        epochs = []
        for epoch in (0, 1):
            loader.set_epoch(epoch)
            epochs += [batch.inputs.tolist() for batch in loader]
        return epochs

    first = train(seed=1)
    assert train(seed=1) == first
    assert train(seed=1, validation_seed=7, validation_size=5) == first
    assert not [batch for batch in train(seed=2) if batch in first]
    assert len({str(batch) for batch in first}) == 6

    torch.manual_seed(1)
    assert train() == first
    assert data(length=6).seed == 1


@pytest.mark.parametrize("data", [AddingProblem, CopyingMemory])
def test_held_out_data_is_the_same_for_every_trial(data):
    def held_out(**arguments):
        module = data(length=6, validation_size=10, test_size=10, **arguments)
        loaders = module.val_dataloader(), module.test_dataloader()
        return [everything(loader)[0].tolist() for loader in loaders]

    validation, test = held_out(seed=1, batch_size=4)
    assert held_out(seed=2, batch_size=7) == [validation, test]
    assert validation != test
    assert len(validation) == len(test) == 10
    assert held_out(seed=1, validation_seed=1) != [validation, test]


def test_tasks():
    assert AddingProblem(length=5).task == Task("vectors", 2, "values", 1, "sequence")
    assert CopyingMemory(length=5).task == Task("tokens", 10, "classes", 9, "step")


def test_splits_may_be_empty():
    data = AddingProblem(length=5, validation_size=0, test_size=0)
    assert data.val_dataloader() == []
    with pytest.raises(UserError, match="AddingProblem: there is no test data"):
        data.predict_dataloader()


@pytest.mark.parametrize(
    ("data", "arguments", "sentence"),
    [
        (AddingProblem, {"length": 1}, "AddingProblem: length is 1; it must be at least 2."),
        (CopyingMemory, {"symbols": 0}, "CopyingMemory: symbols is 0; it must be at least 1."),
        (CopyingMemory, {"length": 0}, "CopyingMemory: length is 0; it must be at least 1."),
        (AddingProblem, {"train_batches": 0}, "AddingProblem: train_batches is 0; it must be at least 1."),
        (AddingProblem, {"test_size": -1}, "AddingProblem: test_size is -1; it must be at least 0."),
        (AddingProblem, {"batch_size": 0}, "AddingProblem: batch_size is 0; it must be at least 1."),
    ],
)
def test_wrong_arguments_are_named(data, arguments, sentence):
    with pytest.raises(UserError) as error:
        data(**arguments)
    assert str(error.value) == sentence
