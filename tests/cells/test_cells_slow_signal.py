"""Leaky units learn what they were invented for: slow structure under fast noise.

Answers without memory are right in a quarter of the sequences. Elman's network has the best of three learning
rates, and as many steps.
"""

import json
from pathlib import Path

import pytest

from lit_seq.packing.run import run_pack


def accuracies(folder: Path, cell: str, rates: list[float]) -> list[float]:
    commands = [
        [
            *("fit", "--model", "ManyToOne", "--model.core.cell", cell, "--model.core.hidden_size", "32"),
            *("--data", "SlowSignal", "--optimizer.lr", str(rate), "--trainer.gradient_clip_val", "1"),
            *("--trainer.max_steps", "400", "--trainer.val_check_interval", "400"),
            *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
            *("--seed_everything", str(index), "--runs_dir", str(folder), "--name", f"{cell}{index}"),
        ]
        for index, rate in enumerate(rates)
    ]
    assert run_pack(commands) == [0] * len(rates)
    statuses = [json.loads((folder / f"{cell}{k}" / "status.json").read_text()) for k in range(len(rates))]
    return [status["metrics"]["val/accuracy"] for status in statuses]


@pytest.mark.slow
def test_leaky_units_see_a_slow_wave_under_noise_long_before_elmans_do(tmp_path: Path) -> None:
    leaky = accuracies(tmp_path, "Leaky", [0.003, 0.003, 0.003])
    elman = accuracies(tmp_path, "Elman", [0.01, 0.003, 0.001])
    assert min(leaky) > 0.95
    assert max(elman) < 0.7
