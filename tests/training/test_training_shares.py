"""Several processes share batches, in one place without a process."""

from itertools import chain
from types import SimpleNamespace

import pytest
import torch

from lit_seq.cli import main
from lit_seq.data import AddingProblem, Batch, TextStreams
from lit_seq.data.bucketing import bucketed
from lit_seq.data.loader import Loader, in_turn, shuffled
from lit_seq.errors import UserError
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import trainer_values
from lit_seq.processes import in_order


class Numbers:
    """Batches of the examples that a key lists, each its own number."""

    def __getitem__(self, rows):
        return Batch(torch.tensor(list(rows)).reshape(-1, 1), torch.zeros(len(rows)))


def counted(batches) -> list[list[int]]:
    return [[] if batch.idle else batch.inputs[:, 0].tolist() for batch in batches]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("order", [shuffled(17, 8, 1), bucketed([n % 5 + 1 for n in range(17)], 8, 1)])
def test_shares_are_the_whole_batch(order, processes):
    whole = counted(Loader(Numbers(), order))
    shares = [counted(Loader(Numbers(), order).share(rank, processes)) for rank in range(processes)]
    assert [in_order(parts) for parts in zip(*shares, strict=True)] == whole
    assert sorted(chain(*whole)) == list(range(17))
    assert [len(share) for share in shares] == [3] * processes
    assert shares[-1][-1] == [], "no process was without a part"


def test_batches_that_come_whole_are_divided(tmp_path):
    class Whole:
        def __getitem__(self, index):
            return Batch(torch.arange(5).reshape(-1, 1) + 10 * index, torch.zeros(5), torch.ones(5).long())

    for rank, mine in enumerate([[0, 2, 4], [1, 3]]):
        batches = list(Loader(Whole(), in_turn(2)).share(rank, 2))
        assert counted(batches) == [mine, [10 + row for row in mine]]
        assert [len(batch.lengths) for batch in batches] == [len(mine)] * 2


def test_a_share_is_taken_up_where_it_was_left():
    shares = [Loader(Numbers(), shuffled(40, 8, 1)).share(1, 2) for _ in range(2)]
    drawing = iter(shares[0])
    first = [next(drawing), next(drawing)]
    shares[1].load_state_dict(shares[0].state_dict())
    assert counted([*first, *shares[1]]) == counted(Loader(Numbers(), shuffled(40, 8, 1)).share(1, 2))


def in_process(data, rank: int, processes: int):
    data.trainer = SimpleNamespace(global_rank=rank, world_size=processes)
    return data


def test_generated_sequences_are_those_of_one_process():
    whole = next(iter(AddingProblem(length=5, batch_size=6, seed=3).train_dataloader()))
    for rank in range(3):
        data = in_process(AddingProblem(length=5, batch_size=2, seed=3), rank, 3)
        share = next(iter(data.train_dataloader()))
        assert torch.equal(share.inputs, whole.inputs[rank::3])
        assert data.batch_size == 6


class Book(TextStreams):
    def read(self):
        return {"train": "abcdefghij" * 50}


def test_a_stream_stays_in_its_process():
    for rank in range(2):
        share = in_process(Book(batch_size=2, chunk_length=7), rank, 2).train_dataloader()
        for part, whole in zip(share, Book(batch_size=4, chunk_length=7).train_dataloader(), strict=True):
            assert torch.equal(part.inputs, whole.inputs[rank::2])


def test_streams_of_all_processes_together_must_be_long_enough():
    data = Book(batch_size=30, chunk_length=12)
    assert data.task
    with pytest.raises(UserError, match="make 60 streams"):
        in_process(data, 0, 2).train_dataloader()


@pytest.mark.parametrize(
    ("trainer", "together"),
    [
        ({"devices": 1}, False),
        ({"devices": "auto", "num_nodes": 1}, False),
        ({"devices": [3]}, False),
        ({"devices": 2}, True),
        ({"devices": [0, 1]}, True),
        ({"devices": 1, "num_nodes": 2}, True),
    ],
)
def test_what_several_processes_train_is_in_no_pack(trainer, together):
    if not together:
        assert trainer_values(trainer)
        return
    with pytest.raises(Unpackable, match="several processes"):
        trainer_values(trainer)


TINY = ["--data", "NARMA10", "--data.length", "12", "--data.train_batches", "2", "--trainer.max_steps", "1"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--model", "ManyToMany", "--trainer.strategy", "ddp_spawn"],
            "trainer.strategy must be auto, ddp or",
        ),
        pytest.param(
            ["--model", "ManyToMany", "--trainer.num_nodes", "2"],
            "torchrun or srun starts lit-seq",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--model", "ManyToMany", "--model.core.cell", "BatchNormLSTM"],
            "normalises by the statistics of a whole batch",
            marks=pytest.mark.slow,
        ),
        (
            ["--model", "RidgeReadout", "--model.core.cell", "EchoState"],
            "RidgeReadout trains in one process, as a readout in closed form",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_starts(options, sentence, tmp_path, capsys):
    devices = ["--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    command = ["fit", *options, *TINY, *devices, "--runs_dir", str(tmp_path / "runs"), "--name", "run"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1
    assert not (tmp_path / "runs").exists()
