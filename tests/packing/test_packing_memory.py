"""Packs are no larger than memory allows, and what goes wrong in one costs no neighbour."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from lit_seq.cli import main
from lit_seq.packing import memory, pack
from lit_seq.packing.run import run_pack
from lit_seq.run_folder import Status

ADDING = [
    *("--model", "ManyToOne", "--data", "AddingProblem", "--data.length", "6", "--data.batch_size", "4"),
    *("--model.core.hidden_size", "4", "--model.core.layers", "2", "--model.core.dropout", "0.2"),
    *("--trainer.max_steps", "12", "--trainer.log_every_n_steps", "1", "--trainer.precision", "64-true"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]


def command(folder: Path, name: str, seed: int) -> list[str]:
    return ["fit", *ADDING, "--seed_everything", str(seed), "--runs_dir", str(folder), "--name", name]


def assert_same_metrics(one: Path, other: Path) -> None:
    left, right = (pd.read_csv(folder / "metrics.csv") for folder in (one, other))
    # Lightning keeps validation metrics in float32 whatever the precision.
    pd.testing.assert_frame_equal(left, right, rtol=2e-7, atol=0)


def test_a_step_is_what_the_backward_pass_needs():
    weight = torch.ones(100, 50, requires_grad=True)
    inputs = torch.ones(20, 100)

    def loss():
        return (inputs @ weight).exp().sum()

    # exp's result for its gradient, and the sum
    assert memory.step_bytes(loss, 10, torch.device("cpu")) == 2 * 4 * (20 * 50 + 1) + 3 * 10


def test_a_pack_that_is_too_large_trains_in_parts(tmp_path, capsys, monkeypatch):
    taken = []

    def free(device):
        return int(2.5 * taken[-1])

    def step(*arguments):
        taken.append(memory.step_bytes(*arguments))
        return taken[-1]

    assert run_pack([command(tmp_path, f"whole{seed}", seed) for seed in range(5)]) == [0] * 5
    assert "A pack of 5 trials" in capsys.readouterr().err
    monkeypatch.setattr(pack, "step_bytes", step)
    monkeypatch.setattr(pack, "free_bytes", free)
    assert run_pack([command(tmp_path, f"parts{seed}", seed) for seed in range(5)]) == [0] * 5
    said = capsys.readouterr().err
    assert "2 trials fit into memory" in said
    assert said.count("A pack of 2 trials") == 2
    for seed in range(5):
        assert_same_metrics(tmp_path / f"whole{seed}", tmp_path / f"parts{seed}")


def test_a_pack_that_runs_out_of_memory_goes_on_in_halves(tmp_path, capsys, monkeypatch):
    training_step = pack.Pack.training_step

    def hungry(self, batch, batch_idx):
        if len(self.trials) > 2 and self.trainer.global_step == 7:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return training_step(self, batch, batch_idx)

    commands = [
        [*command(tmp_path, f"hungry{seed}", seed), "--checkpoint.every_steps=3"] for seed in range(4)
    ]
    whole = [command(tmp_path, f"whole{seed}", seed) for seed in range(4)]
    assert run_pack(whole) == [0] * 4
    monkeypatch.setattr(pack.Pack, "training_step", hungry)
    assert run_pack(commands) == [0] * 4
    assert "The pack of 4 failed (OutOfMemoryError" in capsys.readouterr().err
    for seed in range(4):
        assert_same_metrics(tmp_path / f"whole{seed}", tmp_path / f"hungry{seed}")


@pytest.mark.slow
def test_a_trial_that_kills_its_worker_fails_alone(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(Path(__file__).parent))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    adding = [word.replace("AddingProblem", "packing_user_module.Deadly") for word in ADDING]
    sweep = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "command": ["lit-seq", "fit", *adding, "--config", "${args_json_file}"],
        "parameters": {"data.seed": {"values": [1, 13, 2, 3]}},
    }
    Path("deadly.yaml").write_text(yaml.safe_dump(sweep))
    assert main(["sweep", "deadly.yaml"]) == 1
    states = [Status.read(path) for path in sorted(Path("runs/deadly/trials").iterdir())]
    assert [status.state for status in states] == ["finished", "failed", "finished", "finished"]
    assert "SIGKILL" in states[1].reason
    printed = capfd.readouterr().out
    assert "The worker of 4 trials died; they go on in parts." in printed
    assert json.loads(Path("runs/deadly/trials/0003/status.json").read_text())["pack"] == 2
    assert os.path.exists("runs/deadly/report.html")
