"""A trial has in a pack exactly what it has alone."""

import inspect
import json
import os
import subprocess
import sys
from itertools import product
from pathlib import Path

import pandas as pd
import pytest
import torch

import lit_seq.cells
from lit_seq.cells import Cell
from lit_seq.cli import main
from lit_seq.packing.run import run_pack

TASKS = {
    "language": [
        *("--model", "LanguageModel", "--model.embedding_size", "4", "--data", "Shakespeare"),
        *("--data.chunk_length", "6", "--data.batch_size", "4", "--trainer.limit_val_batches", "2"),
    ],
    "copying": [
        "--model",
        "ManyToMany",
        "--data",
        "CopyingMemory",
        *("--data.length", "3", "--data.batch_size", "4", "--data.validation_size", "20"),
    ],
    "running sum": [
        *("--model", "OutputFeedback", "--data", "RunningSum", "--data.length", "6"),
        *("--data.batch_size", "4", "--model.core.layers", "1", "--data.validation_size", "20"),
    ],
    "adding": [
        "--model",
        "ManyToOne",
        "--data",
        "AddingProblem",
        *("--data.length", "6", "--data.batch_size", "4", "--data.validation_size", "20"),
    ],
}
CELLS = {
    "tanh": ["--model.core.cell", "Elman"],
    "irnn": [
        *("--model.core.cell", "Elman", "--model.core.cell.activation", "relu"),
        *("--model.core.cell.recurrent_init", "identity"),
    ],
    "lstm": ["--model.core.cell", "LSTM"],
    "peepholes": ["--model.core.cell", "LSTM", "--model.core.cell.peepholes", "true"],
    "gru": ["--model.core.cell", "GRU"],
    "echo state": ["--model.core.cell", "EchoState", "--model.core.cell.sparsity", "0.2"],
}
OPTIMISERS = {
    "sgd": ["--optimizer", "SGD", "--optimizer.momentum", "0.9"],
    "rmsprop": ["--optimizer", "RMSprop", "--optimizer.weight_decay", "0.01"],
    "adam": ["--optimizer", "Adam"],
    "adamw": ["--optimizer", "AdamW", "--optimizer.amsgrad", "true"],
}
OTHERS = [name for name in OPTIMISERS if name != "adam"]
COMMON = [
    *(
        "--model.core.hidden_size",
        "5",
        "--model.core.layers",
        "2",
        "--model.core.learned_initial_state",
        "true",
    ),
    *("--trainer.precision", "64-true", "--trainer.max_steps", "50", "--trainer.log_every_n_steps", "1"),
    *("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "20"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]


def trial(index):
    """Values that differ between trials: rate, clipping threshold and kind, seed."""
    kinds = [["1.0", "norm"], ["0.05", "norm"], ["0.01", "value"]]
    value, kind = kinds[index % 3]
    clip = [f"--trainer.gradient_clip_val={value}", f"--trainer.gradient_clip_algorithm={kind}"]
    return [
        f"--optimizer.lr={0.002 * (1 + index % 5)}",
        f"--seed_everything={index // 2}",
        *(clip if index % 4 else []),
    ]


def pack(commands, capsys):
    """Train as a pack, and make sure that it was one to its end."""
    codes = run_pack(commands)
    said = capsys.readouterr().err
    assert f"A pack of {len(commands)} trials" in said
    assert "goes on in parts" not in said, said
    assert "one by one" not in said
    return codes


def command(folder, name, options, index):
    return ["fit", *COMMON, *options, *trial(index), "--runs_dir", str(folder), "--name", f"{name}{index}"]


def metrics(folder):
    return pd.read_csv(folder / "metrics.csv")


def assert_same_run(one, other, tolerance):
    left, right = metrics(one), metrics(other)
    assert sorted(left) == sorted(right)
    for column in left:
        # Lightning keeps validation metrics in float32 whatever the precision.
        rtol = 2e-7 if column.startswith("val/") else tolerance
        pd.testing.assert_series_equal(left[column], right[column], rtol=rtol, atol=0)
    for name in ("last", "best"):
        left, right = (
            torch.load(f / "checkpoints" / f"{name}.ckpt", weights_only=True) for f in (one, other)
        )
        for key in ("epoch", "global_step", "loops", "hyper_parameters", "lr_schedulers"):
            assert left[key] == right[key]
        for key in ("state_dict", "optimizer_states"):
            torch.testing.assert_close(left[key], right[key], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("task", "cell", "optimiser"),
    [
        ("language", "gru", "adam"),
        ("adding", "lstm", "sgd"),
        pytest.param("copying", "irnn", "rmsprop", marks=pytest.mark.slow),
        # All cells pack in "adding" below.
        *(pytest.param("language", cell, "adam", marks=pytest.mark.slow) for cell in CELLS if cell != "gru"),
        pytest.param("copying", "lstm", "adam", marks=pytest.mark.slow),
        # No cell knows of the optimiser.
        *(
            pytest.param("adding", *case, marks=pytest.mark.slow)
            for case in product(["lstm", "irnn"], OTHERS)
        ),
    ],
)
def test_packed_trial_equals_solo_run(tmp_path, capsys, task, cell, optimiser):
    options = [*TASKS[task], *CELLS[cell], *OPTIMISERS[optimiser]]
    assert pack([command(tmp_path, "packed", options, index) for index in range(3)], capsys) == [0, 0, 0]
    for index in range(3):
        assert main(command(tmp_path, "solo", options, index)) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


def every_cell():
    found = (getattr(lit_seq.cells, name) for name in lit_seq.cells.__all__)
    return [
        c.__name__ for c in found if inspect.isclass(c) and issubclass(c, Cell) and not inspect.isabstract(c)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("cell", every_cell())
def test_every_cell_packs(tmp_path, capsys, cell):
    options = [*TASKS["running sum" if cell == "Jordan" else "adding"], "--model.core.cell", cell]
    options += ["--model.core.hidden_size=8", "--model.core.bidirectional", str(cell != "Jordan").lower()]
    # Adam would make steps of the rounding in gradients that batch normalisation leaves at zero.
    options += [*OPTIMISERS["sgd"]]
    assert pack([command(tmp_path, "packed", options, index) for index in range(3)], capsys) == [0, 0, 0]
    for index in range(3):
        assert main(command(tmp_path, "solo", options, index)) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


@pytest.mark.slow
def test_sixteen_trials(tmp_path, capsys):
    options = [*TASKS["language"], *CELLS["lstm"]]
    assert pack([command(tmp_path, "packed", options, index) for index in range(16)], capsys) == [0] * 16
    for index in range(16):
        assert main(command(tmp_path, "solo", options, index)) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


def test_schedules_are_per_trial(tmp_path, capsys):
    options = [*TASKS["adding"], *CELLS["gru"], "--data.train_batches", "10", "--lr_scheduler", "StepLR"]
    options += ["--lr_scheduler.step_size", "2"]
    extra = [["--lr_scheduler.gamma", "0.5"], ["--lr_scheduler.gamma", "0.1"]]
    packed = [command(tmp_path, "packed", [*options, *extra[index]], index) for index in range(2)]
    assert pack(packed, capsys) == [0, 0]
    for index in range(2):
        assert main(command(tmp_path, "solo", [*options, *extra[index]], index)) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


def test_divergence_changes_no_bit_of_the_neighbours(tmp_path, capsys):
    options = [*TASKS["adding"], *CELLS["irnn"], "--optimizer", "SGD", "--trainer.log_every_n_steps=7"]
    wild = [*options, "--trainer.gradient_clip_val=null", "--optimizer.lr=1e200"]
    calm = [command(tmp_path, "calm", options, index) for index in range(3)]
    assert pack(calm, capsys) == [0, 0, 0]
    mixed = [command(tmp_path, "mixed", options, index) for index in range(3)]
    mixed.insert(1, [*command(tmp_path, "wild", options, 3), *wild[-2:]])
    assert pack(mixed, capsys) == [0, 1, 0, 0]
    status = json.loads((tmp_path / "wild3" / "status.json").read_text())
    assert status["state"] == "diverged"
    assert "train/loss is" in status["reason"]
    for index in range(3):
        pd.testing.assert_frame_equal(
            metrics(tmp_path / f"calm{index}"), metrics(tmp_path / f"mixed{index}"), check_exact=True
        )


KILLED = """
import json, os, signal, sys
from lit_seq.packing.progress import PackProgress
from lit_seq.packing.run import run_pack

def kill(self, trainer, *args):
    if trainer.global_step == 23:
        os.kill(os.getpid(), signal.SIGKILL)

PackProgress.on_train_batch_start = kill
run_pack(json.loads(sys.argv[1]))
"""


def test_killed_pack_resumes_exactly(tmp_path, capsys):
    options = [*TASKS["language"], *CELLS["lstm"], "--checkpoint.every_steps", "1"]
    assert pack([command(tmp_path, "whole", options, index) for index in range(3)], capsys) == [0, 0, 0]
    cut = [command(tmp_path, "cut", options, index) for index in range(3)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    arguments = [sys.executable, "-c", KILLED, json.dumps(cut)]
    assert subprocess.run(arguments, env=environment, capture_output=True, timeout=120).returncode == -9
    last = torch.load(tmp_path / "cut1" / "checkpoints" / "last.ckpt", weights_only=True)
    assert last["global_step"] == 23
    assert pack([[*one, "--ckpt_path", "last"] for one in cut], capsys) == [0, 0, 0]
    for index in range(3):
        pd.testing.assert_frame_equal(
            metrics(tmp_path / f"whole{index}"), metrics(tmp_path / f"cut{index}"), check_exact=True
        )


@pytest.mark.slow
def test_a_trial_of_a_pack_goes_on_alone(tmp_path, capsys):
    options = [*TASKS["language"], *CELLS["gru"]]
    half = [[*command(tmp_path, "half", options, index), "--trainer.max_steps=20"] for index in range(2)]
    assert pack(half, capsys) == [0, 0]
    assert main([*command(tmp_path, "half", options, 0), "--ckpt_path", "last"]) == 0
    assert main(command(tmp_path, "solo", options, 0)) == 0
    assert_same_run(tmp_path / "half0", tmp_path / "solo0", 1e-8)
    assert (
        main(
            [
                "test",
                "--ckpt_path",
                str(tmp_path / "half1" / "checkpoints" / "best.ckpt"),
                "--trainer.limit_test_batches=1",
            ]
        )
        == 0
    )


def test_wrong_trial_fails_alone(tmp_path, capsys):
    options = [*TASKS["adding"], *CELLS["gru"]]
    commands = [command(tmp_path, "run", options, index) for index in range(3)]
    commands[1] += ["--optimizer.lr", "-1"]
    assert run_pack(commands) == [0, 2, 0]
    assert "Invalid learning rate" in capsys.readouterr().err


@pytest.mark.parametrize("cell", ["lstm", pytest.param("gru", marks=pytest.mark.slow)])
def test_dropout_is_per_trial(tmp_path, capsys, cell):
    options = [*TASKS["copying"], *CELLS[cell]]
    packed = [
        [*command(tmp_path, "packed", options, index), f"--model.core.dropout=0.{index}"]
        for index in range(3)
    ]
    assert pack(packed, capsys) == [0, 0, 0]
    for index in range(3):
        assert main([*command(tmp_path, "solo", options, index), f"--model.core.dropout=0.{index}"]) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


RAGGED = {
    # Words and their pronunciations: both sides of a batch have a length of their own, in each trial another.
    "decoder": [
        *("--model", "EncoderDecoder", "--model.embedding_size", "4", "--data", "Pronunciations"),
        *(
            "--model.encoder.layers",
            "2",
            "--model.encoder.hidden_size",
            "5",
            "--trainer.limit_val_batches",
            "1",
        ),
        *("--model.decoder.layers", "2", "--model.decoder.hidden_size", "5", "--data.batch_size", "4"),
    ],
    "trees": [
        *("--model", "Recursive", "--model.hidden_size", "5", "--model.embedding_size", "4"),
        *("--data", "ListOps", "--data.batch_size", "4", "--data.validation_size", "20"),
    ],
    "strings": [
        *("--model", "ManyToMany", "--model.embedding_size", "4", "--model.core.layers", "2"),
        *("--model.core.hidden_size", "5", "--data", "EmbeddedReber", "--data.batch_size", "4"),
        *("--data.validation_size", "20"),
    ],
}
DROPPED = {
    "decoder": ("model.encoder.dropout", "model.decoder.dropout", "model.sampling"),
    "trees": ("model.dropout",),
    "strings": ("model.core.dropout",),
}


@pytest.mark.parametrize("task", [pytest.param("decoder", marks=pytest.mark.slow), "trees", "strings"])
def test_dropout_is_as_alone_where_trials_are_padded(tmp_path, capsys, task):
    def trial(name, index):
        rates = [f"--{option}=0.{index + 1}" for option in DROPPED[task]]
        common = ["--trainer.precision", "64-true", "--trainer.max_steps", "12", "--wandb.mode", "disabled"]
        common += ["--trainer.val_check_interval", "6", "--trainer.enable_progress_bar", "false"]
        common += [
            "--trainer.log_every_n_steps",
            "1",
            "--runs_dir",
            str(tmp_path),
            "--name",
            f"{name}{index}",
        ]
        return ["fit", *RAGGED[task], *rates, *common, "--seed_everything", str(index)]

    assert pack([trial("packed", index) for index in range(3)], capsys) == [0, 0, 0]
    for index in range(3):
        assert main(trial("solo", index)) == 0
        assert_same_run(tmp_path / f"packed{index}", tmp_path / f"solo{index}", 1e-8)


def users(folder, name, index, model="Counter", data="Bits"):
    values = [f"--model.dropout=0.{index}", f"--model.lr=0.0{index + 1}"] if model == "Counter" else []
    return [
        *("fit", "--model", f"packing_user_module.{model}", *values, "--data", f"packing_user_module.{data}"),
        *("--trainer.precision", "64-true", "--trainer.max_steps", "40", "--trainer.log_every_n_steps", "1"),
        *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
        *("--seed_everything", str(index), "--trainer.gradient_clip_val=0.5"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}"),
    ]


@pytest.fixture
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.mark.usefixtures("_importable")
def test_a_users_own_module_packs(tmp_path, capsys):
    assert pack([users(tmp_path, "packed", index) for index in range(3)], capsys) == [0, 0, 0]
    for index in range(3):
        assert main(users(tmp_path, "solo", index)) == 0
        left, right = (metrics(tmp_path / f"{name}{index}") for name in ("packed", "solo"))
        assert {"train/loss", "val/loss", "worst"} <= set(left)
        for column in left:
            rtol = 1e-8 if column == "train/loss" else 1e-6
            pd.testing.assert_series_equal(left[column], right[column], rtol=rtol)
        weights = [
            torch.load(tmp_path / f"{name}{index}/checkpoints/last.ckpt", weights_only=True)["state_dict"]
            for name in ("packed", "solo")
        ]
        torch.testing.assert_close(*weights, rtol=1e-8, atol=1e-10)


@pytest.mark.usefixtures("_importable")
@pytest.mark.parametrize(
    ("model", "data", "reason"),
    [
        ("WithBatchNorm", "Bits", "norm changes its buffers"),
        ("Reading", "Bits", "item()"),
        ("Hooked", "Bits", "Hooked overrides on_train_batch_start"),
        pytest.param("Calling", "Bits", "Calling overrides configure_callbacks", marks=pytest.mark.slow),
        ("Counter", "Shifted", "Shifted overrides on_after_batch_transfer"),
    ],
)
def test_what_breaks_the_contract_runs_alone(tmp_path, capsys, model, data, reason):
    assert run_pack([users(tmp_path, "run", index, model, data) for index in range(2)]) == [0, 0]
    said = capsys.readouterr().err
    assert "run one by one" in said
    assert reason in said


@pytest.mark.usefixtures("_importable")
def test_a_declared_value_that_changes_a_shape_is_named(tmp_path, capsys):
    commands = [users(tmp_path, "run", index, "Wrong") for index in range(2)]
    commands[1] += ["--model.hidden_size=7"]
    assert run_pack(commands) == [0, 0]
    said = capsys.readouterr().err
    assert "model.hidden_size, declared as values" in said
    assert "[18, 1] in one trial and [21, 1] in another" in said
