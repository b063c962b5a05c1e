"""Hyperband stops trials of a pack jointly, and each as it would be stopped alone with the others in view."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.packing.run import run_pack

TINY = [
    *("--model", "ManyToOne", "--model.core.cell", "GRU", "--model.core.hidden_size", "4"),
    *("--data", "AddingProblem", "--data.length", "6", "--data.batch_size", "4", "--data.train_batches", "4"),
    *("--data.validation_size", "8", "--trainer.max_steps", "40", "--trainer.precision", "64-true"),
    *("--trainer.log_every_n_steps", "1", "--trainer.enable_progress_bar", "false"),
    *("--wandb.mode", "disabled"),
]
TRIALS = 5


def commands(folder: Path, metric: str, *options: str, rungs: Path | None = None) -> list[list[str]]:
    folder.mkdir(exist_ok=True)
    hyperband = [f"--hyperband.metric={metric}", f"--hyperband.rungs={rungs or folder / 'rungs.jsonl'}"]
    return [
        [
            *("fit", *TINY, *hyperband, "--hyperband.min_iter=2", "--hyperband.eta=2", *options),
            *(f"--optimizer.lr={0.004 * 2**index}", f"--seed_everything={index % 2}"),
            *("--runs_dir", str(folder), "--name", f"{index:04d}"),
        ]
        for index in range(TRIALS)
    ]


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


def values(folder: Path, metric: str) -> list[float]:
    with (folder / "metrics.csv").open() as file:
        return [float(row[metric]) for row in csv.DictReader(file) if row.get(metric)]


def expected_iterations(histories: list[list[float]], brackets: list[int], strict: bool) -> list[int]:
    """Halve whole histories by hand: how far each trial comes."""
    ends = [len(history) for history in histories]
    for bracket in brackets:
        there = [index for index, end in enumerate(ends) if end > bracket]
        threshold = sorted(histories[index][bracket - 1] for index in there)[int(len(there) / 2)]
        for index in there:
            seen = histories[index][bracket - 1 : bracket] if strict else histories[index][:bracket]
            if min(seen) > threshold:
                ends[index] = bracket
    return ends


def assert_same(one: Path, other: Path) -> None:
    left, right = status(one), status(other)
    assert [left[key] for key in ("state", "step")] == [right[key] for key in ("state", "step")]
    left, right = (pd.read_csv(folder / "metrics.csv") for folder in (one, other))
    pd.testing.assert_frame_equal(left, right[left.columns], rtol=1e-8, atol=0)
    left, right = (torch.load(f / "checkpoints" / "last.ckpt", weights_only=True) for f in (one, other))
    for key in ("epoch", "global_step", "loops"):
        assert left[key] == right[key]
    torch.testing.assert_close(left["state_dict"], right["state_dict"], rtol=1e-6, atol=1e-9)
    assert (left["callbacks"]["Halving"]["reason"] is None) == (
        right["callbacks"]["Halving"]["reason"] is None
    )


# A validation ends an epoch of 4 steps; a step of training is an iteration too.
@pytest.mark.parametrize(
    ("metric", "strict", "brackets"),
    [
        ("val/loss", True, [2, 4, 8]),
        pytest.param("train/loss", False, [2, 4, 8, 16, 32], marks=pytest.mark.slow),
    ],
)
def test_a_pack_is_halved_jointly(
    tmp_path: Path, capsys: pytest.CaptureFixture, metric: str, strict: bool, brackets: list[int]
) -> None:
    option = f"--hyperband.strict={str(strict).lower()}"
    free = [[w for w in one if "hyperband" not in w] for one in commands(tmp_path / "free", metric)]
    assert run_pack(free) == [0] * TRIALS
    histories = [values(tmp_path / "free" / f"{index:04d}", metric) for index in range(TRIALS)]
    assert run_pack(commands(tmp_path / "packed", metric, option)) == [0] * TRIALS
    assert "one by one" not in capsys.readouterr().err
    ends = [len(values(tmp_path / "packed" / f"{index:04d}", metric)) for index in range(TRIALS)]
    assert ends == expected_iterations(histories, brackets, strict)
    states = [status(tmp_path / "packed" / f"{index:04d}")["state"] for index in range(TRIALS)]
    assert states == ["finished" if end == len(histories[0]) else "stopped" for end in ends]
    assert len(set(ends)) > 2
    # Alone, with the rungs of the others to see, each ends in the same way.
    solo = commands(tmp_path / "solo", metric, option, rungs=tmp_path / "rungs.jsonl")
    for index, command in enumerate(solo):
        shutil.copy(tmp_path / "packed" / "rungs.jsonl", tmp_path / "rungs.jsonl")
        assert main(command) == 0
        assert_same(tmp_path / "packed" / f"{index:04d}", tmp_path / "solo" / f"{index:04d}")


def test_all_trials_may_stop(tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    one = commands(folder, "val/loss", "--hyperband.strict=true")
    better = [{"trial": f"better{i}", "iteration": 2, "value": 1e-9} for i in range(20)]
    (folder / "rungs.jsonl").write_text("".join(json.dumps(line) + "\n" for line in better))
    assert run_pack(one) == [0] * TRIALS
    assert {(status(f)["state"], status(f)["step"]) for f in folder.iterdir() if f.is_dir()} == {
        ("stopped", 8)
    }


KILLED = """
import json, os, signal, sys
from lit_seq.packing import progress, leaving
from lit_seq.packing.run import run_pack

step, when = int(sys.argv[2]), sys.argv[3]

def kill(*args):
    os.kill(os.getpid(), signal.SIGKILL)

def at_start(self, trainer, *args):
    if trainer.global_step == step:
        kill()

def at_leaving(pack, trainer, ends):
    kill()

if when == "between steps":
    progress.PackProgress.on_train_batch_start = at_start
else:  # the checkpoints of those that leave are written, their status is not
    from lit_seq.packing import checkpoints
    checkpoints.let_go = at_leaving
run_pack(json.loads(sys.argv[1]))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("step", "when"), [(8, "between steps"), (18, "between steps"), (8, "leaving")])
def test_killed_pack_decides_as_without_the_kill(tmp_path: Path, step: int, when: str) -> None:
    assert run_pack(commands(tmp_path / "whole", "val/loss")) == [0] * TRIALS
    cut = commands(tmp_path / "cut", "val/loss", "--checkpoint.every_steps=1")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", KILLED, json.dumps(cut), str(step), when]
    assert subprocess.run(arguments, env=environment, capture_output=True, timeout=120).returncode == -9
    states = [status(tmp_path / "cut" / f"{index:04d}")["state"] for index in range(TRIALS)]
    assert ("stopped" in states) == (when == "between steps")
    going = [one for one, state in zip(cut, states, strict=True) if state == "running"]
    assert run_pack([[*one, "--ckpt_path", "last"] for one in going]) == [0] * len(going)
    for index in range(TRIALS):
        assert_same(tmp_path / "whole" / f"{index:04d}", tmp_path / "cut" / f"{index:04d}")
        reasons = [status(tmp_path / name / f"{index:04d}")["reason"] for name in ("whole", "cut")]
        assert reasons[0] == reasons[1]
