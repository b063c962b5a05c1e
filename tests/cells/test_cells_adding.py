"""Gated cells learn to add over long gaps; chrono initialisation is what makes the longest ones learnable.

Always answering 1 has a mean squared error of 1/6.
"""

from pathlib import Path

import pandas as pd
import pytest

from lit_seq.packing.run import run_pack


def losses(folder: Path, length: int, steps: int, trials: list[list[str]]) -> list[float]:
    """Each trial's lowest loss of validation; its seed is its place in the list."""
    commands = [
        [
            *("fit", "--model", "ManyToOne", "--model.core.cell", *trial, "--model.core.hidden_size", "32"),
            *("--data", "AddingProblem", "--data.length", str(length), "--optimizer.lr", "0.003"),
            *("--trainer.max_steps", str(steps), "--trainer.check_val_every_n_epoch", "null"),
            *("--trainer.val_check_interval", "100", "--trainer.gradient_clip_val", "1"),
            *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
            *("--seed_everything", str(index), "--runs_dir", str(folder), "--name", str(index)),
        ]
        for index, trial in enumerate(trials)
    ]
    assert run_pack(commands) == [0] * len(trials)
    return [pd.read_csv(folder / str(k) / "metrics.csv")["val/loss"].min() for k in range(len(trials))]


@pytest.mark.slow
@pytest.mark.parametrize(
    "cell",
    [
        ["LSTM", "--model.core.cell.coupled=true"],
        ["LSTM", "--model.core.cell.peepholes=true"],
        ["GRU", "--model.core.cell.reset=before"],
        ["GRU", "--model.core.cell.reset=after"],
    ],
    ids=["coupled", "peepholes", "reset before", "reset after"],
)
def test_gated_cells_add_over_a_hundred_steps(tmp_path: Path, cell: list[str]) -> None:
    found = losses(tmp_path, 100, 600, [[*cell, "--model.core.cell.chrono=100"]])
    assert max(found) < 0.06


@pytest.mark.proof
def test_chrono_initialisation_lets_an_lstm_add_over_200_steps(tmp_path: Path) -> None:
    """Tallec & Ollivier 2018, section 4: where a forget bias of 1 does not."""
    found = losses(tmp_path, 200, 900, [["LSTM"], ["LSTM"], *[["LSTM", "--model.core.cell.chrono=200"]] * 2])
    assert min(found[:2]) > 0.15
    assert max(found[2:]) < 0.06
