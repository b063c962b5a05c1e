"""NRMSE: from means over batches, alone and in packs, with lengths."""

import json

import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.packing.run import run_pack
from lit_seq.topologies.means import EpochMeans
from lit_seq.topologies.values import compare_values, nrmse


@pytest.mark.parametrize("trials", [None, 3])
def test_nrmse_of_an_epoch_is_that_of_all_its_targets_at_once(trials):
    torch.manual_seed(0)
    targets = torch.randn(40, 2, dtype=torch.float64) * torch.tensor([1.0, 5.0]) + torch.tensor([100.0, 3.0])
    outputs = targets + torch.randn(trials or 1, 40, 2)
    epoch = EpochMeans()
    for rows in (slice(0, 25), slice(25, 40)):
        found = [compare_values(one[rows], targets[rows]) for one in outputs]
        means = {name: torch.stack([mean[name] for mean, _ in found]) for name in found[0][0]}
        counts = torch.stack([count for _, count in found])
        epoch.add(means if trials else {name: mean[0] for name, mean in means.items()}, counts.squeeze())
    found = nrmse(epoch.means())["nrmse"]
    expected = ((outputs - targets).square().mean((1, 2)) / targets.var(0, unbiased=False).mean()).sqrt()
    torch.testing.assert_close(found, expected if trials else expected[0], rtol=1e-12, atol=0)


def test_padding_counts_not():
    torch.manual_seed(0)
    targets, outputs = torch.randn(5, 3, 1), torch.randn(5, 3, 1)
    lengths = torch.tensor([5, 1, 3])
    targets[3:, 2], targets[1:, 1] = 1e6, 1e6
    means, count = compare_values(outputs, torch.where(targets > 1e5, 0.0, targets), lengths)
    kept = torch.arange(5).unsqueeze(1) < lengths
    assert count == kept.sum() == 9
    expected = (outputs - targets)[kept].square().mean() / targets[kept].var(unbiased=False)
    torch.testing.assert_close(nrmse(means)["nrmse"].float(), expected.sqrt(), rtol=1e-5, atol=0)


COMMON = [
    *("--model", "ManyToOne", "--model.core.cell", "Elman", "--model.core.hidden_size", "4"),
    *("--data", "AddingProblem", "--data.length", "4", "--data.validation_size", "50"),
    *("--data.batch_size", "8", "--trainer.max_steps", "4", "--trainer.check_val_every_n_epoch", "null"),
    *("--trainer.val_check_interval", "4", "--trainer.log_every_n_steps", "1", "--wandb.mode", "disabled"),
    *("--trainer.enable_progress_bar", "false"),
]


def test_alone_and_in_a_pack(tmp_path, capsys):
    def command(name, index):
        own = ["--seed_everything", str(index), "--runs_dir", str(tmp_path), "--name", f"{name}{index}"]
        return ["fit", *COMMON, *own]

    assert run_pack([command("packed", index) for index in range(3)]) == [0, 0, 0]
    assert "A pack of 3 trials" in capsys.readouterr().err
    for index in range(3):
        assert main(command("solo", index)) == 0
        alone, packed = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(packed)
        assert not [column for column in alone if "target" in column]
        pd.testing.assert_series_equal(alone["val/nrmse"], packed["val/nrmse"], rtol=1e-5)
        last = alone.dropna(subset="val/nrmse").iloc[-1]
        # the variance of a sum of two from U[0, 1) is 1/6
        assert last["val/nrmse"] == pytest.approx((last["val/loss"] * 6) ** 0.5, rel=0.3)
    status = json.loads((tmp_path / "solo0/status.json").read_text())
    assert "val/nrmse" in status["metrics"]
