import multiprocessing
import random

import pytest
import torch
from torch import tensor

from lit_seq.data import IGNORED, Batch, EmbeddedReber
from lit_seq.data.loader import Loader, in_turn
from lit_seq.packing.function import Unpackable
from lit_seq.packing.loader import PackLoader
from lit_seq.packing.randomness import Stream


def joined(*batches):
    """Return what a pack of one trial a batch trains on."""
    streams = [Stream() for _ in batches]
    (step,) = PackLoader([[batch] for batch in batches], range(len(batches)), streams)
    return step


def test_sources_and_targets_grow_each_to_their_own_longest():
    """The longest source has not the longest target, and inputs of one trial are as long as its targets."""
    step = joined(
        Batch(tensor([[1, 2, 3, 4]]), tensor([[1, 2]]), tensor([4])),
        Batch(tensor([[5, 6]]), tensor([[3, 4]]), tensor([2])),
        Batch(tensor([[7]]), tensor([[5, 6, 7]]), tensor([1])),
    )
    assert not step.shared
    assert step.batch.inputs.tolist() == [[[1, 2, 3, 4]], [[5, 6, 0, 0]], [[7, 0, 0, 0]]]
    assert step.batch.targets.tolist() == [[[1, 2, IGNORED]], [[3, 4, IGNORED]], [[5, 6, 7]]]
    assert step.batch.lengths.tolist() == [[4], [2], [1]]


def test_values_a_step_grow_with_their_vectors():
    step = joined(
        Batch(torch.ones(2, 3, 4), torch.ones(2, 3, 5), tensor([3, 1])),
        Batch(torch.ones(2, 2, 4), torch.ones(2, 2, 5), tensor([2, 2])),
    )
    assert step.batch.inputs.shape == (2, 2, 3, 4)
    assert step.batch.targets.shape == (2, 2, 3, 5)
    assert step.batch.inputs[1, :, 2:].abs().max() == step.batch.targets[1, :, 2:].abs().max() == 0


def test_what_has_no_time_stays_and_nothing_else_is_lost():
    pictures = [torch.rand(2, 3, 4, 4) for _ in range(2)]
    step = joined(*(Batch(picture, tensor([0, 1]), motifs=tensor([2, 3])) for picture in pictures))
    assert step.batch.inputs.equal(torch.stack(pictures))
    assert step.batch.targets.tolist() == [[0, 1], [0, 1]]
    assert step.batch.motifs.tolist() == [[2, 3], [2, 3]]


@pytest.mark.parametrize("draw", [lambda: torch.rand(()), random.random])
def test_data_that_draws_from_the_process_is_not_stacked(draw):
    """Its numbers would depend on the other trials; a loader of another kind has numbers of its own."""

    class Now(torch.utils.data.Dataset):
        def __getitem__(self, index):
            return Batch(torch.full((1, 1), float(draw() if index else 0.0)), tensor([0]))

    steps = iter(PackLoader([Loader(Now(), in_turn(2)) for _ in range(2)], range(2), []))
    next(steps)
    with pytest.raises(Unpackable, match="draws from the process's random numbers"):
        next(steps)
    before = torch.get_rng_state(), random.getstate()
    streams = [Stream() for _ in range(2)]
    own = list(PackLoader([torch.utils.data.DataLoader(Now(), None, sampler=[0, 1])] * 2, range(2), streams))
    assert own[1].batch.inputs.shape[-2:] == (1, 1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()


def test_batches_are_made_ahead_by_as_many_processes_as_a_trial_has():
    """Of different lengths, for trials of which two share their data, one leaves, and all are resumed."""

    def loader(workers):
        datas = [EmbeddedReber(batch_size=3, train_batches=4, seed=s, num_workers=workers) for s in range(3)]
        return PackLoader([data.train_dataloader() for data in datas], [0, 1, 1, 2], [])

    here, ahead = loader(0), loader(2)
    for step, (one, other) in enumerate(zip(here, ahead, strict=True)):
        assert len(multiprocessing.active_children()) == 2
        for part, expected in zip(other.batch[:3], one.batch[:3], strict=True):
            assert torch.equal(part, expected)
        assert other.steps == one.steps
        assert other.batch.inputs.shape[0] == (4 if step < 2 else 2)
        if step == 1:
            # The first trial leaves, and one of the two that share their data.
            here.rows, ahead.rows = [1, 2], [1, 2]
            state = ahead.state_dict()
    assert state == {"epoch": 0, "named": 0, "drawn": 2}
    resumed = loader(2)
    resumed.load_state_dict(state)
    resumed.rows = [1, 2]
    (third, _), (expected, _) = list(resumed), list(here)[2:]
    assert torch.equal(third.batch.inputs, expected.batch.inputs)
