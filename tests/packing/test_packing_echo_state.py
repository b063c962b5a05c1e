"""Reservoirs that differ in every option train as one stack, each as it would alone."""

import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.packing.run import run_pack

COMMON = [
    *("--model", "ManyToMany", "--model.washout", "8", "--model.core.cell", "EchoState"),
    *("--model.core.hidden_size", "12", "--data", "NARMA10", "--data.length", "20"),
    *("--data.batch_size", "4", "--data.validation_size", "9", "--trainer.max_steps", "30"),
    *("--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "10"),
    *("--trainer.log_every_n_steps", "1", "--trainer.precision", "64-true"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]
VALUES = {
    "model.core.cell.spectral_radius": (0.5, 0.9, 1.1),
    "model.core.cell.sparsity": (0.9, 0.0, 0.5),
    "model.core.cell.input_scale": (0.1, 1.0, 0.5),
    "model.core.cell.bias_scale": (0.0, 0.3, 0.2),
    "model.core.cell.leak": (1.0, 0.3, 0.05),
    "optimizer.lr": (0.01, 0.003, 0.03),
    "seed_everything": (0, 0, 1),
}


def command(folder, name, index):
    own = [f"--{key}={values[index]}" for key, values in VALUES.items()]
    return ["fit", *COMMON, *own, "--runs_dir", str(folder), "--name", f"{name}{index}"]


def test_packed_equals_solo(tmp_path, capsys):
    assert run_pack([command(tmp_path, "packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, "solo", index)) == 0
        solo, packed = (tmp_path / f"{name}{index}" for name in ("solo", "packed"))
        left, right = (pd.read_csv(folder / "metrics.csv") for folder in (solo, packed))
        assert sorted(left) == sorted(right)
        for column in left:
            rtol = 1e-6 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(left[column], right[column], rtol=rtol, atol=0)
        left, right = (
            torch.load(folder / "checkpoints/last.ckpt", weights_only=True)["state_dict"]
            for folder in (solo, packed)
        )
        torch.testing.assert_close(left, right, rtol=1e-8, atol=1e-10)
        assert left["core.layers.0.0.leak_rate"].tolist() == pytest.approx(
            [VALUES["model.core.cell.leak"][index]] * 12, rel=1e-6
        )
