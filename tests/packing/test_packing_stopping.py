"""Trials of a pack stop by themselves, as they do alone."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.configuration import parse, plain
from lit_seq.packing.function import Unpackable
from lit_seq.packing.keys import pack_key
from lit_seq.packing.run import run_pack
from lit_seq.training.record import Record

TINY = [
    *("--model", "ManyToOne", "--model.core.cell", "GRU", "--model.core.hidden_size", "4"),
    *("--data", "AddingProblem", "--data.length", "6", "--data.batch_size", "4", "--data.train_batches", "4"),
    *("--data.validation_size", "8", "--optimizer.lr", "0.05", "--trainer.max_steps", "40"),
    *("--trainer.precision", "64-true", "--trainer.log_every_n_steps", "2"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
STOPPING = ["--trainer.callbacks+=EarlyStopping", "--trainer.callbacks.monitor=val/loss"]
# Each stops for another reason at another step, and the last one never.
OWN = [
    ["--trainer.callbacks.patience=1"],
    ["--trainer.callbacks.patience=2", "--trainer.callbacks.min_delta=0.01"],
    ["--trainer.callbacks.patience=50", "--trainer.callbacks.stopping_threshold=0.23"],
    ["--trainer.callbacks.patience=50"],
]
# Where Lightning looks at the metric: behind an epoch, or behind each validation.
MOMENTS = {
    "epochs": [],
    "validations": ["--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=3"],
}


def command(folder: Path, name: str, index: int, *options: str) -> list[str]:
    own = [*STOPPING, *OWN[index], f"--seed_everything={index // 2}", "--name", f"{name}{index}"]
    return ["fit", *TINY, *options, *own, "--runs_dir", str(folder)]


def status(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "status.json").read_text())


def assert_same_end(one: Path, other: Path) -> None:
    for key in ("state", "step", "max_steps"):
        assert status(one)[key] == status(other)[key]
    reasons = [re.sub(r"(\.\d{8})\d+", r"\1", status(folder)["reason"] or "") for folder in (one, other)]
    assert reasons[0] == reasons[1]
    left, right = (pd.read_csv(folder / "metrics.csv") for folder in (one, other))
    pd.testing.assert_frame_equal(left, right[left.columns], rtol=1e-8, atol=0)
    for name in ("last", "best"):
        left, right = (
            torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True) for folder in (one, other)
        )
        for key in ("epoch", "global_step", "loops", "hyper_parameters"):
            assert left[key] == right[key]
        for key in ("state_dict", "optimizer_states"):
            torch.testing.assert_close(left[key], right[key], rtol=1e-6, atol=1e-9)
        states = [
            next(state for key, state in whole["callbacks"].items() if key.startswith("EarlyStopping"))
            for whole in (left, right)
        ]
        torch.testing.assert_close(
            states[0].pop("best_score"), states[1].pop("best_score"), rtol=1e-8, atol=0
        )
        for state in states:
            state["stopping_reason_message"] = bool(state["stopping_reason_message"])
        assert states[0] == states[1]


@pytest.mark.parametrize("moment", ["epochs", pytest.param("validations", marks=pytest.mark.slow)])
def test_early_stopping_packed_equals_solo(
    tmp_path: Path, capsys: pytest.CaptureFixture, moment: str
) -> None:
    options = MOMENTS[moment]
    assert run_pack([command(tmp_path, "packed", index, *options) for index in range(4)]) == [0] * 4
    said = capsys.readouterr().err
    assert "A pack of 4 trials" in said
    assert "one by one" not in said
    for index in range(4):
        assert main(command(tmp_path, "solo", index, *options)) == 0
        assert_same_end(tmp_path / f"solo{index}", tmp_path / f"packed{index}")
    ends = [status(tmp_path / f"packed{index}") for index in range(4)]
    assert [end["state"] for end in ends] == ["stopped"] * 3 + ["finished"]
    assert len({end["step"] for end in ends}) == 4
    assert "did not improve in the last 1 records" in ends[0]["reason"]
    assert "Stopping threshold reached" in ends[2]["reason"]


KILLED = """
import json, os, signal, sys
from lit_seq.packing.progress import PackProgress
from lit_seq.packing.run import run_pack

def kill(self, trainer, *args):
    if trainer.global_step == int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)

PackProgress.on_train_batch_start = kill
run_pack(json.loads(sys.argv[1]))
"""


def kill_at(step: int, commands: list[list[str]]) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", KILLED, json.dumps(commands), str(step)]
    assert subprocess.run(arguments, env=environment, capture_output=True, timeout=120).returncode == -9


# At step 24 an epoch is over, validated and saved, but early stopping has not looked at it yet.
@pytest.mark.slow
@pytest.mark.parametrize("step", [24, 26])
def test_killed_pack_stops_as_an_undisturbed_one(tmp_path: Path, step: int) -> None:
    whole = [command(tmp_path, "whole", index) for index in range(4)]
    assert run_pack(whole) == [0] * 4
    cut = [command(tmp_path, "cut", index, "--checkpoint.every_steps=1") for index in range(4)]
    kill_at(step, cut)
    assert [status(tmp_path / f"cut{index}")["state"] for index in range(4)] == ["stopped"] * 2 + [
        "running"
    ] * 2
    # Those that were stopped end at once, should a driver that lost their status ask for them again.
    assert run_pack([[*one, "--ckpt_path", "last"] for one in cut]) == [0] * 4
    for index in range(4):
        assert_same_end(tmp_path / f"whole{index}", tmp_path / f"cut{index}")


@pytest.mark.parametrize("moment", ["epochs", pytest.param("validations", marks=pytest.mark.slow)])
def test_crashed_run_stops_as_an_undisturbed_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    assert main(command(tmp_path, "whole", 1, *MOMENTS[moment])) == 0
    cut = command(tmp_path, "cut", 1, *MOMENTS[moment])
    for step in (4, 8):

        def crash(self: Record, trainer: L.Trainer, *args: Any, step: int = step) -> None:
            if trainer.global_step == step:
                raise RuntimeError("crash")

        with monkeypatch.context() as patch:
            patch.setattr(Record, "on_train_batch_start", crash)
            assert main(cut) == 1
        cut = [*cut, "--ckpt_path", "last"] if step == 4 else cut
    assert main(cut) == 0
    assert_same_end(tmp_path / "whole1", tmp_path / "cut1")


def test_trial_without_the_monitored_metric_fails_alone(tmp_path: Path) -> None:
    commands = [command(tmp_path, "run", index, "--trainer.max_steps=8") for index in range(3)]
    commands[1] += ["--trainer.callbacks.monitor=val/f1"]
    assert run_pack(commands) == [0, 1, 0]
    assert "metric `val/f1` which is not available" in status(tmp_path / "run1")["reason"]


def test_what_early_stopping_stacks() -> None:
    def key(*options: str) -> tuple[str, frozenset[str]]:
        return pack_key(plain(parse(["fit", *TINY, *options])))

    stopping = key(*STOPPING, "--trainer.callbacks.patience=1")
    assert stopping[0] == key(*STOPPING, "--trainer.callbacks.patience=9")[0] == key()[0]
    assert "trainer.callbacks.patience" in stopping[1]
    for options, reason in {
        (*STOPPING[:1], "--trainer.callbacks.monitor=train/loss"): "not a metric of validation",
        (*STOPPING, "--trainer.min_steps=5"): "min_steps",
        (*STOPPING, "--trainer.callbacks+=DeviceStatsMonitor"): "other than EarlyStopping",
    }.items():
        with pytest.raises(Unpackable, match=reason):
            key(*options)
