"""Metrics are those of all data, whichever process saw it."""

import json
from pathlib import Path

import lightning as L
import pytest
import torch

from lit_seq.data import Batch, Task
from lit_seq.topologies import ManyToMany

TASK = Task(
    *("tokens", 7, "classes", 5, "step"),
    vocabulary={"unit": "word", "symbols": list("?abcdef")},
    labels=("O", "B-X", "I-X", "B-Y", "I-Y"),
)


def batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(0)
    found = []
    for size in (3, 4, 2, 5):
        lengths = torch.randint(1, 7, (size,), generator=generator)
        inputs = torch.randint(7, (size, 6), generator=generator)
        targets = torch.randint(5, (size, 6), generator=generator)
        padding = torch.arange(6) >= lengths.unsqueeze(1)
        found.append(Batch(inputs, targets.masked_fill(padding, -100), lengths))
    return found


class Some:
    """Batches that are no list, which to Lightning are several loaders."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __iter__(self):
        return iter(self.batches)


class Shared(L.LightningDataModule):
    """Gives each process its share of the batches."""

    def val_dataloader(self):
        processes = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        return Some(batches()[rank::processes])


class Kept(L.Callback):
    """Writes what was logged where the test can read it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        if trainer.is_global_zero:
            logged = {name: float(value) for name, value in trainer.callback_metrics.items()}
            self.path.write_text(json.dumps(logged))


def validated(path: Path, **processes) -> dict[str, float]:
    torch.manual_seed(1)
    model = ManyToMany(TASK, embedding_size=4).double()
    trainer = L.Trainer(
        **{"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "callbacks": [Kept(path)]},
        **processes,
    )
    trainer.validate(model, Shared(), verbose=False)
    return json.loads(path.read_text())


@pytest.mark.slow
def test_two_processes_say_what_one_says(tmp_path):
    one = validated(tmp_path / "one.json", devices=1)
    two = validated(tmp_path / "two.json", devices=2, strategy="ddp_spawn")
    assert {"val/loss", "val/accuracy"} < set(one)
    assert set(one) - {"val/loss", "val/accuracy"}, "no metric of a whole epoch"
    assert two == pytest.approx(one, rel=1e-12)
