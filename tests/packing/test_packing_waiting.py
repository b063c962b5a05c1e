"""A step of a pack asks for no value of a tensor: on a GPU the process would wait for it."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lit_seq.packing.pack import Pack
from lit_seq.packing.progress import PackProgress
from lit_seq.packing.run import run_pack

ASKING = {"_local_scalar_dense", "_unique2", "equal", "masked_select", "nonzero", "unique_dim"}
"""Operations whose result, or its shape, the processor has to know."""

COMMANDS = {
    "values": "--model ManyToOne --data AddingProblem --data.length 10 --model.core.cell LSTM",
    "padded": "--model ManyToMany --data EmbeddedReber --model.core.cell GRU --model.core.layers 2 "
    "--model.core.dropout 0.2 --trainer.gradient_clip_algorithm value",
    "text": "--model LanguageModel --data Shakespeare --data.chunk_length 10 --data.batch_size 4 "
    "--optimizer AdamW --lr_scheduler CosineAnnealingLR --lr_scheduler.T_max 10",
    "translation": "--model EncoderDecoder --data Pronunciations --data.batch_size 4 "
    "--model.attention additive",
}

LONG = ("padded", "translation")


class Watched(TorchDispatchMode):
    """Writes down which operations ask."""

    asked: list[str]

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.partition(".")[0]
        places = tree_leaves(args[1:2]) if name in ("index", "index_put", "index_put_") else []
        masks = any(isinstance(place, Tensor) and place.dtype == torch.bool for place in places)
        if name in ASKING or masks:
            self.asked.append(name)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def steps(monkeypatch):
    """The operations that ask, a list for each step: from the forward pass to behind the optimiser."""
    steps, running = [], []
    train, end, tolist = Pack.training_step, PackProgress.on_train_batch_end, Tensor.tolist

    def training_step(self, *batch):
        running.append(Watched())
        running[-1].asked = []
        running[-1].__enter__()
        return train(self, *batch)

    def on_train_batch_end(self, *arguments):
        mode = running.pop()
        mode.__exit__(None, None, None)
        steps.append(mode.asked)
        return end(self, *arguments)

    def asking_tolist(self):
        for mode in running:
            mode.asked.append("tolist")
        return tolist(self)

    monkeypatch.setattr(Pack, "training_step", training_step)
    monkeypatch.setattr(PackProgress, "on_train_batch_end", on_train_batch_end)
    monkeypatch.setattr(Tensor, "tolist", asking_tolist)
    return steps


@pytest.mark.parametrize("kind", ["values", "text", *(pytest.param(k, marks=pytest.mark.slow) for k in LONG)])
def test_no_step_waits(tmp_path, steps, kind):
    common = [*COMMANDS[kind].split(), "--runs_dir", str(tmp_path), "--trainer.gradient_clip_val", "1"]
    common += ["--model.core.hidden_size", "5"] if kind != "translation" else []
    common += ["--trainer.max_steps=7", "--trainer.log_every_n_steps=5", "--trainer.limit_val_batches=0"]
    common += ["--wandb.mode", "disabled", "--trainer.enable_progress_bar", "false"]
    trials = [["fit", *common, f"--name={seed}", f"--seed_everything={seed}"] for seed in range(3)]
    assert run_pack(trials) == [0, 0, 0]
    # The first one tries whether the trials can be stacked, and how many fit into memory.
    assert len(steps) == 7
    assert steps[1:] == [[]] * 6


def test_what_asks_is_found():
    mode = Watched()
    mode.asked = []
    with mode:
        float(torch.ones(()))
        torch.ones(3)[torch.tensor([True, False, True])]
    assert mode.asked == ["_local_scalar_dense", "index"]
