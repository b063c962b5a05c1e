"""A resumed run equals an undisturbed one, bit for bit."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_seq.cli import main

HERE = Path(__file__).parent

LANGUAGE = [
    *("--model", "LanguageModel", "--model.core.layers", "2", "--model.core.hidden_size", "8"),
    *("--model.core.dropout", "0.3", "--model.embedding_size", "4", "--data", "Shakespeare"),
    *("--data.chunk_length", "6", "--data.batch_size", "4", "--trainer.limit_train_batches", "7"),
    *("--trainer.limit_val_batches", "2", "--trainer.val_check_interval", "3"),
]
COPYING = [
    *(
        "--model",
        "ManyToMany",
        "--model.core.cell",
        "GRU",
        "--model.core.layers",
        "2",
        "--model.core.dropout",
        "0.3",
    ),
    *(
        "--model.core.hidden_size",
        "8",
        "--data",
        "CopyingMemory",
        "--data.length",
        "3",
        "--data.batch_size",
        "4",
    ),
    *("--data.train_batches", "5", "--data.validation_size", "8"),
    *("--lr_scheduler", "StepLR", "--lr_scheduler.step_size", "2", "--trainer.precision", "64-true"),
]
COMMON = [
    *("--trainer.max_steps", "17", "--trainer.log_every_n_steps", "2", "--trainer.gradient_clip_val", "0.5"),
    *("--trainer.enable_progress_bar", "false", "--checkpoint.every_steps", "1", "--wandb.mode", "disabled"),
    *("--seed_everything", "3"),
]


@pytest.fixture(autouse=True)
def _killer_is_importable(monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))


def fit(folder, name, *options):
    return main(["fit", *COMMON, "--runs_dir", str(folder), "--name", name, *options])


def result(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    samples = folder / "samples.jsonl"
    return (
        pd.read_csv(folder / "metrics.csv"),
        checkpoint["state_dict"],
        checkpoint["optimizer_states"],
        torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"],
        samples.read_text() if samples.exists() else "",
        checkpoint["global_step"],
    )


def assert_equal(one, other):
    pd.testing.assert_frame_equal(one[0], other[0], check_exact=True)
    for left, right in zip(one[1:4], other[1:4], strict=True):
        torch.testing.assert_close(left, right, rtol=0, atol=0)
    assert one[4:] == other[4:]


# In LANGUAGE an epoch ends every 7 steps, and validation follows 3 and 6 of them; in COPYING 5 end both.
TELLING = {"language": (1, 3, 7, 8), "copying": (5, 8)}


@pytest.mark.parametrize("name", ["language", pytest.param("copying", marks=pytest.mark.slow)])
@pytest.mark.parametrize("steps", ["telling", pytest.param("all", marks=pytest.mark.slow)])
def test_resuming_after_any_step_equals_no_interruption(tmp_path, name, steps):
    options = {"language": LANGUAGE, "copying": COPYING}[name]
    assert fit(tmp_path, "whole", *options) == 0
    whole = result(tmp_path / "whole")
    assert whole[5] == 17
    for step in TELLING[name] if steps == "telling" else range(1, 17):
        name = f"cut-{step}"
        crash = ["--trainer.callbacks+=killer.Crash", f"--trainer.callbacks.step={step}"]
        assert fit(tmp_path, name, *options, *crash) == 1
        assert json.loads((tmp_path / name / "status.json").read_text())["state"] == "failed"
        assert fit(tmp_path, name, *options, "--trainer.callbacks=null", "--ckpt_path", "last") == 0
        assert_equal(result(tmp_path / name), whole)
        assert json.loads((tmp_path / name / "status.json").read_text())["state"] == "finished"


@pytest.mark.slow
def test_sigkill_keeps_folder_wandb_run_and_numbers(tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    # As under a process that has begun a W&B run itself: the killed run would stay in use there.
    environment["WANDB_SERVICE"] = f"3-{os.getpid()}-unix-{tmp_path}/socket"
    command = [sys.executable, "-m", "lit_seq", "fit", *LANGUAGE, *COMMON, "--wandb.mode", "offline"]

    def start(name, *options):
        arguments = [*command, "--runs_dir", str(tmp_path), "--name", name, *options]
        return subprocess.run(arguments, env=environment, capture_output=True, text=True, timeout=120)

    assert start("whole").returncode == 0
    killed = start("cut", "--trainer.callbacks+=killer.Kill", "--trainer.callbacks.step=9")
    assert killed.returncode == -9
    before = json.loads((tmp_path / "cut" / "status.json").read_text())
    assert before["state"] == "running"
    resumed = start("cut", "--trainer.callbacks=null", "--ckpt_path", "last")
    assert resumed.returncode == 0, resumed.stderr
    after = json.loads((tmp_path / "cut" / "status.json").read_text())
    assert (after["state"], after["wandb_run_id"]) == ("finished", before["wandb_run_id"])
    assert_equal(result(tmp_path / "cut"), result(tmp_path / "whole"))
    fragments = list((tmp_path / "cut" / "wandb").glob(f"offline-run-*-{before['wandb_run_id']}"))
    assert len(fragments) == 2
