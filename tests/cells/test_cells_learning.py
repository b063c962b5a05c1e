"""Each cell learns what it was invented for, where Elman's network, or the plain LSTM, does not.

By the command line, as a user would type it. Seed 1 decides everything; the thresholds leave room for the
rounding of another machine.
"""

import math
import shlex
from pathlib import Path

import pandas as pd
import pytest

from lit_seq.cli import main

pytestmark = pytest.mark.proof

COPYING = (
    "--model ManyToMany --model.embedding_size null --model.core.hidden_size 64 --data CopyingMemory"
    " --data.length 100 --data.batch_size 32 --data.validation_size 200 --optimizer.lr 0.001"
)
SLOW = (
    "--model ManyToOne --model.core.hidden_size 32 --data SlowSignal --data.validation_size 500"
    " --optimizer.lr 0.003 --trainer.gradient_clip_val 1"
)
ORDER = (
    "--model ManyToOne --model.embedding_size null --model.core.hidden_size 32 --data TemporalOrder"
    " --data.length 60 --data.batch_size 32 --data.validation_size 500 --optimizer.lr 0.003"
    " --trainer.gradient_clip_val 1"
)
PARITY = (
    "--model ManyToMany --model.embedding_size null --model.core.hidden_size 16 --data Parity"
    " --data.each_step true --data.length 30 --data.batch_size 32 --data.validation_size 300"
    " --optimizer.lr 0.003"
)
ADDING = (
    "--model ManyToOne --model.core.hidden_size 64 --data AddingProblem --data.length 200"
    " --data.batch_size 32 --data.validation_size 500 --optimizer.lr 0.01 --trainer.gradient_clip_val 1"
)
DIGITS = (
    "--model ManyToOne --model.core.hidden_size 32 --data Digits --optimizer.lr 0.003"
    " --trainer.gradient_clip_val 1"
)


def best(folder: Path, problem: str, cell: str, steps: int) -> dict[str, float]:
    """Train, validating four times, and return the lowest validation loss and the highest accuracy."""
    command = [
        *("fit", *shlex.split(problem), *shlex.split(f"--model.core.cell {cell}"), "--optimizer", "Adam"),
        *("--trainer.max_steps", str(steps), "--trainer.val_check_interval", str(steps // 4)),
        *("--trainer.check_val_every_n_epoch", "null", "--trainer.enable_progress_bar", "false"),
        *("--seed_everything", "1", "--wandb.mode", "disabled", "--runs_dir", str(folder)),
    ]
    assert main([*command, "--name", "run"]) == 0
    metrics = pd.read_csv(folder / "run" / "metrics.csv")
    found = {"loss": metrics["val/loss"].min()}
    return found | ({"accuracy": metrics["val/accuracy"].max()} if "val/accuracy" in metrics else {})


MEMORYLESS = 10 * math.log(8) / 120


@pytest.mark.parametrize(
    ("cell", "steps"),
    [("OrthogonalElman --model.core.cell.activation linear", 1500), ("OrthogonalModReLU", 1000)],
)
def test_an_orthogonal_recurrence_copies_over_100_steps(tmp_path: Path, cell: str, steps: int) -> None:
    assert best(tmp_path, COPYING, cell, steps)["loss"] < 0.3 * MEMORYLESS


def test_elman_does_not_copy_over_100_steps(tmp_path: Path) -> None:
    assert 0.95 < best(tmp_path, COPYING, "Elman", 2000)["loss"] / MEMORYLESS < 1.1


@pytest.mark.parametrize(
    "cell", ["Clockwork --model.core.cell.periods [1,4,16,32]", "Skip --model.core.cell.delays [1,16]"]
)
def test_slow_units_and_long_edges_see_a_slow_wave(tmp_path: Path, cell: str) -> None:
    assert best(tmp_path, SLOW, cell, 600)["accuracy"] > 0.85


def test_elman_sees_noise_in_a_slow_wave(tmp_path: Path) -> None:
    # A quarter is chance.
    assert best(tmp_path, SLOW, "Elman", 600)["accuracy"] < 0.4


def test_skips_through_time_learn_the_order_of_far_events(tmp_path: Path) -> None:
    assert best(tmp_path, ORDER, "Skip --model.core.cell.delays [1,10]", 600)["accuracy"] > 0.95


def test_elman_does_not_learn_the_order_of_far_events(tmp_path: Path) -> None:
    assert best(tmp_path, ORDER, "Elman", 600)["accuracy"] < 0.6


def test_a_deep_transition_learns_parity(tmp_path: Path) -> None:
    """An exclusive or of input and state at each step is what one layer does not have."""
    cell = "DeepTransition --model.core.cell.shortcut true"
    assert best(tmp_path, PARITY, cell, 600)["accuracy"] > 0.99


def test_min_gru_adds_over_200_steps(tmp_path: Path) -> None:
    # To say 1 always is 1/6 off.
    assert best(tmp_path, ADDING, "MinGRU --model.core.cell.update_bias -2", 600)["loss"] < 0.03


def test_elman_does_not_add_over_200_steps(tmp_path: Path) -> None:
    assert best(tmp_path, ADDING, "Elman", 600)["loss"] > 0.15


@pytest.mark.parametrize(
    ("plain", "normalised", "weights"),
    [
        ("Elman", "LayerNormElman", "recurrent_scale 12"),
        ("LSTM", "LayerNormLSTM", "recurrent_scale 12"),
        ("LSTM", "BatchNormLSTM", "recurrent_scale 12"),
        ("Elman", "BatchNormInputElman", "input_init normal --model.core.cell.input_std 20"),
        ("LSTM", "BatchNormInputLSTM", "input_init normal --model.core.cell.input_std 20"),
    ],
)
def test_normalised_cells_learn_from_weights_that_saturate_others(
    tmp_path: Path, plain: str, normalised: str, weights: str
) -> None:
    with_it, without = (
        best(tmp_path / cell, DIGITS, f"{cell} --model.core.cell.{weights}", 400)["accuracy"]
        for cell in (normalised, plain)
    )
    assert with_it > 0.6
    assert with_it > without + 0.2
