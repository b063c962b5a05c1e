"""Runs and packs that are cut at random steps come to what they come to undisturbed, bit for bit."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch

from lit_seq.checkpoint_file import read_checkpoint
from lit_seq.cli import main
from lit_seq.packing.progress import PackProgress
from lit_seq.packing.run import run_pack
from lit_seq.run_folder import Status
from lit_seq.training.checkpoints import Interrupted
from lit_seq.training.record import Record

pytestmark = pytest.mark.slow

COMMON = [
    *("fit", "--trainer.log_every_n_steps", "2", "--trainer.enable_progress_bar", "false"),
    *("--wandb.mode", "disabled", "--trainer.max_steps", "15"),
]
SMALL = ["--model.core.hidden_size", "6"]
LANGUAGE = [
    *SMALL,
    *(
        "--model",
        "LanguageModel",
        "--data",
        "Shakespeare",
        "--data.chunk_length",
        "5",
        "--data.batch_size",
        "3",
    ),
    *(
        "--trainer.limit_train_batches",
        "6",
        "--trainer.limit_val_batches",
        "1",
        "--model.core.dropout",
        "0.3",
    ),
]
DIGITS = [*SMALL, "--model", "ManyToOne", "--data", "Digits", "--data.batch_size", "256"]
ADDING = [
    *SMALL,
    *("--model", "ManyToOne", "--data", "AddingProblem", "--data.length", "5", "--data.batch_size", "4"),
    *("--data.validation_size", "8", "--data.train_batches", "4"),
]
STOPPING = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
SINGLE = {
    "carried state, validation inside the epoch": [
        *(*LANGUAGE, "--model.core.layers", "2", "--trainer.val_check_interval", "4"),
        *("--lr_scheduler", "OneCycleLR", "--lr_scheduler.max_lr", "0.1", "--lr_scheduler.total_steps", "20"),
    ],
    "carried state, accumulated gradients": [*LANGUAGE, "--trainer.accumulate_grad_batches", "2"],
    "shuffled examples, early stopping": [*DIGITS, *STOPPING, "--trainer.callbacks.patience=1"],
    "a schedule that follows validation": [
        *(*ADDING, "--lr_scheduler", "ReduceLROnPlateau", "--lr_scheduler.monitor", "val/loss"),
        *("--lr_scheduler.patience", "0", "--optimizer", "RMSprop", "--optimizer.lr", "0.1"),
    ],
    "momentum, clipping, diagnostics": [
        *(*ADDING, "--optimizer", "SGD", "--optimizer.lr", "0.1", "--optimizer.momentum", "0.9"),
        *("--trainer.gradient_clip_val", "0.1", "--trainer.callbacks+=ClippedSteps"),
    ],
    "scheduled sampling": [
        *("--model", "EncoderDecoder", "--data", "Pronunciations", "--data.batch_size", "4"),
        *("--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "1"),
        *("--model.sampling", "0.5", "--model.sampling_steps", "10"),
        *("--model.encoder.hidden_size", "5", "--model.decoder.hidden_size", "6"),
    ],
    "captions": [
        *(*SMALL, "--model", "OneToMany", "--data", "CaptionedShapes", "--data.batch_size", "4"),
        *("--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "1"),
    ],
    "noise of an autoencoder": [
        *(*SMALL, "--model", "MotifAutoencoder", "--data", "SimulatedPoses", "--data.batch_size", "4"),
        *("--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "1"),
    ],
    "trees": [
        *("--model", "Recursive", "--model.hidden_size", "6", "--data", "ListOps", "--data.batch_size", "4"),
        *("--trainer.limit_train_batches", "6", "--trainer.limit_val_batches", "1"),
    ],
    "a series": [*SMALL, "--model", "Forecaster", "--data", "Sunspots", "--data.batch_size", "8"],
    "dropout of all steps": [
        *(*ADDING, "--model.core.cell", "LSTM", "--model.core.layers", "2"),
        *("--model.core.variational_dropout", "0.2", "--model.core.recurrent_dropout", "0.2"),
    ],
    "processes that load": [*DIGITS, "--data.num_workers", "1"],
}
PACKS = {
    "carried state": [[*LANGUAGE, f"--seed_everything={seed}"] for seed in range(3)],
    "some leave": [
        [*ADDING, *STOPPING, f"--trainer.callbacks.patience={patience}"] for patience in (1, 2, 50)
    ],
    "own schedules": [
        [*ADDING, "--lr_scheduler", "ExponentialLR", f"--lr_scheduler.gamma={gamma}"] for gamma in (0.9, 0.5)
    ],
    "all but one leave": [
        [*ADDING, *STOPPING, "--optimizer.lr=0.1", f"--trainer.callbacks.patience={p}"] for p in (1, 1, 50)
    ],
}


def result(folder: Path) -> dict[str, Any]:
    last, best = (read_checkpoint(folder / "checkpoints" / f"{name}.ckpt") for name in ("last", "best"))
    status = Status.read(folder)
    samples = folder / "samples.jsonl"
    return {
        "status": (status.state, status.reason, status.step, status.metrics),
        "metrics": (folder / "metrics.csv").read_text(),
        "samples": samples.read_text() if samples.exists() else None,
        "weights": [last["state_dict"], best["state_dict"]],
        "optimizer": last["optimizer_states"][0]["state"],
        "carried": last.get("carried_state", []),
        "loops": last["loops"]["fit_loop"]["epoch_progress"],
    }


def assert_equal(one: dict[str, Any], other: dict[str, Any]) -> None:
    for part in ("weights", "optimizer", "carried"):
        torch.testing.assert_close(one.pop(part), other.pop(part), rtol=0, atol=0)
    assert one == other


class Cuts:
    """Ends training, unsaved, before steps that are drawn at random."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seed: str) -> None:
        numbers = random.Random(seed)
        self.steps = sorted(numbers.sample(range(1, 15), 3))
        self.every = f"--checkpoint.every_steps={numbers.choice([1, 2, 4])}"
        self.made = 0
        for kind in (Record, PackProgress):
            monkeypatch.setattr(kind, "on_train_batch_start", self._cut(), raising=False)

    def _cut(self) -> Any:
        def on_train_batch_start(callback: Any, trainer: Any, *args: Any) -> None:
            if self.steps and trainer.global_step >= self.steps[0]:
                self.steps.pop(0)
                self.made += 1
                raise Interrupted("cut")

        return on_train_batch_start


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, seed: int) -> None:
    command = [*COMMON, *SINGLE[name], "--runs_dir", str(tmp_path)]
    assert main([*command, "--name", "whole"]) == 0
    cuts = Cuts(monkeypatch, f"{name} {seed}")
    command = [*command, "--name", "cut", cuts.every]
    code = main(command)
    while code == 130:
        code = main([*command, "--ckpt_path", "last"])
    assert code == 0
    assert cuts.made >= 1
    assert_equal(result(tmp_path / "cut"), result(tmp_path / "whole"))


@pytest.mark.parametrize("name", PACKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_pack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, name: str, seed: int
) -> None:
    def commands(kind: str, *options: str) -> list[list[str]]:
        place = ["--runs_dir", str(tmp_path), *options]
        return [[*COMMON, *one, *place, "--name", f"{kind}{i}"] for i, one in enumerate(PACKS[name])]

    assert set(run_pack(commands("whole"))) == {0}
    cuts = Cuts(monkeypatch, f"{name} {seed}")
    trials = commands("cut", cuts.every)
    left = list(range(len(trials)))
    codes = run_pack(trials)
    while left := [index for index, code in zip(left, codes, strict=True) if code == 130]:
        # As the driver does: those that left are over, and those that are left may be one.
        codes = run_pack([[*trials[index], "--ckpt_path", "last"] for index in left], stacked=True)
    assert set(codes) == {0}
    assert cuts.made >= 1
    assert "one by one" not in capsys.readouterr().err
    for index in range(len(trials)):
        assert_equal(result(tmp_path / f"cut{index}"), result(tmp_path / f"whole{index}"))
