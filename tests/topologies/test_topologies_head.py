"""The head's initial weights, alone and in packs."""

import pytest
import torch

from lit_seq.cli import main
from lit_seq.data.task import Task
from lit_seq.packing.run import run_pack
from lit_seq.topologies import ManyToOne

VALUES = Task("vectors", 2, "values", 100, "sequence")


def test_head_has_the_standard_deviation_asked_for_and_no_bias():
    torch.manual_seed(0)
    head = ManyToOne(VALUES, head_std=0.001).head
    assert head.weight.std().item() == pytest.approx(0.001, rel=0.02)
    assert not head.bias.any()


def test_trials_that_differ_in_it_stack(tmp_path, capsys):
    common = [
        *("fit", "--model", "ManyToOne", "--model.core.hidden_size", "4", "--data", "AddingProblem"),
        *("--data.length", "4", "--data.batch_size", "8", "--data.validation_size", "0"),
        *("--trainer.max_steps", "2", "--trainer.log_every_n_steps", "1", "--wandb.mode", "disabled"),
        *("--runs_dir", str(tmp_path), "--trainer.enable_progress_bar", "false"),
    ]
    trials = [[*common, "--model.head_std", std, "--name", f"packed{std}"] for std in ("null", "5")]
    assert run_pack(trials) == [0, 0]
    assert "A pack of 2 trials" in capsys.readouterr().err
    assert main([*common, "--model.head_std", "5", "--name", "alone"]) == 0
    alone, packed, other = (
        torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True)["state_dict"]["head.weight"]
        for name in ("alone", "packed5", "packednull")
    )
    torch.testing.assert_close(packed, alone)
    assert packed.std() > 2 > other.std()


def test_no_standard_deviation(capsys):
    words = ["--model", "ManyToOne", "--data", "AddingProblem", "--model.head_std", "-1"]
    assert main(["fit", *words]) == 2
    assert "head_std is -1.0; it must be null, or a number that is at least 0." in capsys.readouterr().err
