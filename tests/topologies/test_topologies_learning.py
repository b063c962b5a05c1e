"""Echo state and Jordan networks learn what they are for. Seed 0 throughout; each figure is on test data."""

import pandas as pd
import pytest

from lit_seq.cli import main

pytestmark = pytest.mark.slow

NARMA = [
    *("--data", "NARMA10", "--data.length", "300", "--data.batch_size", "40", "--data.test_size", "100"),
    *("--data.validation_size", "0", "--model.washout", "50", "--model.core.cell", "EchoState"),
    *("--trainer.log_every_n_steps", "1", "--wandb.mode", "disabled"),
    *("--trainer.enable_progress_bar", "false"),
]


def trained(folder, name, command, *options):
    """Train, test the last checkpoint, and return the metrics of the test."""
    assert main(["fit", "--runs_dir", str(folder), "--name", name, *command]) == 0
    assert main(["test", "--ckpt_path", str(folder / name / "checkpoints/last.ckpt"), *options]) == 0
    return pd.read_csv(folder / name / "metrics.csv").iloc[-1]


def test_echo_state_on_narma_is_better_the_larger(tmp_path):
    # 400 sequences of 300 steps, the first 50 of each washed out.
    nrmse = {}
    for units in (50, 100, 200, 400):
        command = ["--model", "RidgeReadout", "--model.core.hidden_size", str(units), *NARMA]
        command += ["--data.train_batches", "10", "--trainer.max_epochs", "1"]
        nrmse[units] = trained(tmp_path, str(units), command)["test/nrmse"]
    assert nrmse[200] < 0.25
    assert nrmse[400] < nrmse[200] < nrmse[100] < nrmse[50] < 0.5


def test_gradient_and_closed_form_agree(tmp_path):
    # Both see the same 40 sequences; L-BFGS, as the states are nearly collinear (XᵀX has a condition
    # number of 1e9), which stops Adam at an NRMSE of .37.
    common = ["--model.core.hidden_size", "200", *NARMA, "--trainer.precision", "64-true"]
    common += ["--data.train_batches", "1", "--trainer.max_steps", "1"]
    closed = trained(tmp_path, "closed", ["--model", "RidgeReadout", *common])["test/nrmse"]
    options = {"lr": 1, "max_iter": 400, "max_eval": 400, "history_size": 300}
    options |= {"line_search_fn": "strong_wolfe", "tolerance_grad": 1e-12, "tolerance_change": 1e-16}
    search = [f"--optimizer.{name}={value}" for name, value in options.items()]
    command = ["--model", "ManyToMany", *common, "--optimizer", "LBFGS", *search]
    gradient = trained(tmp_path, "gradient", command)["test/nrmse"]
    assert closed < 0.25
    assert gradient == pytest.approx(closed, rel=0.1)


def count(folder, *model):
    """Train on sums of 20 numbers modulo 10 for 500 steps; test on sums of 500, where an error stays."""
    command = [
        *("--model.core.hidden_size", "50", "--data", "RunningSum", "--data.modulus", "10"),
        *("--data.length", "20", "--data.test_size", "100", "--optimizer.lr", "0.01"),
        *("--trainer.max_steps", "500", "--trainer.enable_progress_bar", "false"),
        *("--wandb.mode", "disabled"),
    ]
    return trained(folder, "run", [*model, *command], "--data.length", "500")["test/accuracy"]


@pytest.mark.parametrize("sampling", [0.0, 0.25])
def test_jordan_counts_on_without_an_error(tmp_path, sampling):
    model = ["--model", "OutputFeedback", "--model.core.cell", "Jordan", f"--model.sampling={sampling}"]
    assert count(tmp_path, *model) == 1


def test_elman_does_not_learn_to_count_in_this_time(tmp_path):
    assert count(tmp_path, "--model", "ManyToMany", "--model.core.cell", "Elman") < 0.5
