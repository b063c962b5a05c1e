import torch

from lit_seq.data import AddingProblem, Loader
from lit_seq.data.loader import generator, in_batches, onward, shuffled


class Keys(torch.utils.data.Dataset):
    """Gives each key back."""

    def __getitem__(self, key):
        return key


def test_epoch_decides_the_order():
    loader = Loader(Keys(), shuffled(examples=10, batch_size=4, seed=1))
    epochs = []
    for epoch in (0, 1, 0):
        loader.sampler.set_epoch(epoch)
        epochs.append(list(loader))
    assert epochs[0] == epochs[2] != epochs[1]
    assert [len(key) for key in epochs[0]] == [4, 4, 2]
    assert sorted(example for key in epochs[1] for example in key) == list(range(10))
    assert list(Loader(Keys(), shuffled(10, 4, seed=2))) != epochs[0]


def test_onward_never_repeats():
    order = onward(3)
    assert [key for epoch in range(3) for key in order(epoch)] == list(range(9))


def test_in_batches():
    assert in_batches([5, 6, 7], 2) == [[5, 6], [7]]


def test_state_is_for_one_iteration_of_its_own_epoch():
    loader = Loader(Keys(), onward(4))
    loader.set_epoch(2)
    drawing = iter(loader)
    assert [next(drawing), next(drawing)] == [8, 9]
    state = loader.state_dict()

    resumed = Loader(Keys(), onward(4))
    resumed.load_state_dict(state)
    assert resumed.state_dict() == state
    resumed.set_epoch(2)
    assert len(resumed) == 4
    assert list(resumed) == [10, 11]
    assert list(resumed) == [8, 9, 10, 11]

    resumed.load_state_dict(state)
    resumed.set_epoch(3)
    assert list(resumed) == [12, 13, 14, 15]


def test_iterating_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    list(AddingProblem(length=3, train_batches=2, seed=1).train_dataloader())
    assert torch.equal(torch.get_rng_state(), before)


def test_workers_make_the_same_batches():
    here, there = (
        AddingProblem(length=3, batch_size=2, train_batches=5, seed=1, num_workers=workers).train_dataloader()
        for workers in (0, 2)
    )
    all_of_them = [batch.inputs.tolist() for batch in here]
    assert [batch.inputs.tolist() for batch in there] == all_of_them
    there.load_state_dict({"epoch": 0, "named": 0, "drawn": 1})
    assert [batch.inputs.tolist() for batch in there] == all_of_them[1:]


def test_generators_differ_in_every_bit_of_the_key():
    keys = [(0, 0, 0), (1, 0, 0), (2**32, 0, 0), (2**63, 0, 0), (0, 1, 0), (0, 0, 1), (-1, 0, 0)]
    draws = [tuple(torch.rand(4, generator=generator(*key)).tolist()) for key in keys]
    assert len(set(draws)) == len(keys)
    assert torch.rand(4, generator=generator(2**63, 0, 0)).tolist() == list(draws[3])
