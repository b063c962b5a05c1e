"""Hyperband's rule, its file, and a run that it stops."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from lit_seq.cli import main
from lit_seq.configuration import parse
from lit_seq.errors import UserError
from lit_seq.training.hyperband import Hyperband
from lit_seq.training.metrics_file import MetricsFile
from lit_seq.training.rungs import Rung, add_rungs


def rule(**options: Any) -> Hyperband:
    return Hyperband(Path("rungs.jsonl"), "val/loss", **options)


@pytest.mark.parametrize(
    ("options", "brackets"),
    [
        ({"min_iter": 3}, [3, 9, 27]),  # W&B's own examples
        ({"max_iter": 27, "s": 2}, [3, 9]),
        ({"max_iter": 27, "s": 9}, [1, 3, 9]),
        ({"min_iter": 2, "eta": 1.5}, [2, 3, 4, 6, 10, 15, 22]),
        ({"max_iter": 10, "s": 2, "eta": 2}, [2, 5]),
    ],
)
def test_brackets(options: dict[str, Any], brackets: list[int]) -> None:
    reached = [rule(**options).bracket(iterations) for iterations in range(28)]
    assert reached == [max([b for b in brackets if b <= i], default=None) for i in range(28)]


@pytest.mark.parametrize("options", [{"min_iter": 1}, {"min_iter": 1, "goal": "maximize"}])
def test_the_best_third_goes_on(options: dict[str, Any]) -> None:
    sign = -1 if "goal" in options else 1
    values = [sign * value for value in (5.0, 1.0, 4.0, 2.0, 3.0, 6.0)]
    # W&B's threshold is the value behind the best third: of six, the third best.
    going = [value for value in values if rule(**options).verdict([value], 1, values) is None]
    assert sorted(map(abs, going)) == [1.0, 2.0, 3.0]


def test_ties_go_on_and_the_first_trial_does() -> None:
    assert rule(min_iter=1).verdict([2.0], 1, [2.0, 2.0, 2.0, 2.0]) is None
    assert rule(min_iter=1).verdict([2.0], 1, [2.0]) is None
    assert rule(min_iter=1).verdict([2.0], 1, [2.0, 1.0]) is not None


def test_strict_counts_the_value_at_the_bracket_only() -> None:
    history, others = [1.0, 2.0, 3.0], [1.5, 3.0, 4.0, 5.0]
    assert rule(min_iter=3, eta=4).verdict(history, 3, others) is None
    strict = rule(min_iter=3, eta=4, strict=True).verdict([1.0, 2.0, 3.5], 3, [1.5, 3.0, 4.0, 3.5])
    assert strict == (
        "stopped by hyperband at iteration 3: val/loss 3.5, the best quarter of 4 trials reaches 3"
    )
    # What comes behind the bracket counts in neither.
    assert rule(min_iter=2, eta=4).verdict([4.0, 3.0, 0.5], 2, [1.0, 1.2, 1.3, 3.0]) == (
        "stopped by hyperband at iteration 2: val/loss 3 at best, the best quarter of 4 trials reaches 1.2"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "neither"),
        ({"min_iter": 1, "max_iter": 9, "s": 1}, "both"),
        ({"max_iter": 9}, "lacks s"),
        ({"min_iter": 3, "s": 2}, "lacks max_iter"),
        ({"min_iter": 0}, "min_iter must be at least 1"),
        ({"min_iter": 1, "eta": 1}, "eta must be above 1"),
        ({"max_iter": 2, "s": 1, "eta": 3}, "no bracket"),
    ],
)
def test_options_that_do_not_go_together(options: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        rule(**options)


def test_rungs_replace_a_trials_own_and_outlive_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "rungs.jsonl"
    assert add_rungs(path, [Rung("a", 3, 1.0), Rung("b", 3, 2.0)]) == [Rung("a", 3, 1.0), Rung("b", 3, 2.0)]
    with path.open("a") as file:
        file.write('{"trial": "c", "iter')
    assert set(add_rungs(path, [Rung("a", 3, 0.5)])) == {Rung("a", 3, 0.5), Rung("b", 3, 2.0)}
    assert set(add_rungs(path, [Rung("a", 9, 0.1)])) == {
        Rung("a", 3, 0.5),
        Rung("b", 3, 2.0),
        Rung("a", 9, 0.1),
    }


def test_iterations_are_the_finite_rows_of_the_metric(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path, watched="val/loss")
    for step, row in enumerate([{"val/loss": 0.3}, {"train/loss": 1.0}, {"val/loss": float("nan")}] * 2):
        metrics.log_metrics(row, step)
    metrics.log_metrics({"val/loss": 0.1}, 6)
    metrics.log_metrics({"val/loss": 0.1}, 6)  # a row that is logged twice
    assert metrics.watched_values == [0.3, 0.3, 0.1]
    metrics.flush()
    assert MetricsFile(tmp_path, resume_after=5, watched="val/loss").watched_values == [0.3, 0.3]


TINY = [
    *("--model", "ManyToOne", "--model.core.hidden_size", "4", "--data", "AddingProblem"),
    *("--data.length", "6", "--data.batch_size", "4", "--data.train_batches", "4"),
    *("--data.validation_size", "8", "--trainer.max_steps", "16", "--trainer.log_every_n_steps", "1"),
    *("--trainer.enable_progress_bar", "false", "--wandb.mode", "disabled"),
]


# Validation comes every 4 steps, a row of training every step.
@pytest.mark.parametrize(("metric", "step"), [("val/loss", 8), ("train/loss", 2)])
def test_a_run_ends_where_others_were_better(tmp_path: Path, metric: str, step: int) -> None:
    rungs = tmp_path / "rungs.jsonl"
    add_rungs(rungs, [Rung(f"other{i}", bracket, 1e-6) for i in range(3) for bracket in (2, 4)])
    options = [f"--hyperband.metric={metric}", f"--hyperband.rungs={rungs}", "--hyperband.min_iter=2"]
    command = ["fit", *TINY, *options, "--runs_dir", str(tmp_path), "--name", "run"]
    assert main(command) == 0
    folder = tmp_path / "run"
    status = json.loads((folder / "status.json").read_text())
    assert (status["state"], status["step"]) == ("stopped", step)
    assert status["reason"].startswith(f"stopped by hyperband at iteration 2: {metric} ")
    rows = pd.read_csv(folder / "metrics.csv")[metric].dropna()
    assert json.loads(rungs.read_text().splitlines()[-1]) == {
        "trial": "run",
        "iteration": 2,
        "value": rows.iloc[1],
    }
    assert len(rows) == 2
    assert torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step
    # What was killed before its status was written ends without a further step; without the rule it goes on.
    assert main([*command, "--ckpt_path", "last"]) == 0
    assert json.loads((folder / "status.json").read_text())["reason"] == status["reason"]
    without = [word for word in command if word not in options]
    assert main([*without, "--ckpt_path", "last", "--hyperband=null"]) == 0
    assert json.loads((folder / "status.json").read_text())["state"] == "finished"


def test_nothing_is_stopped_at_the_last_step(tmp_path: Path) -> None:
    rungs = tmp_path / "rungs.jsonl"
    add_rungs(rungs, [Rung(f"other{i}", 4, 1e-6) for i in range(3)])
    options = ["--hyperband.metric=val/loss", f"--hyperband.rungs={rungs}", "--hyperband.min_iter=4"]
    assert main(["fit", *TINY, *options, "--runs_dir", str(tmp_path), "--name", "run"]) == 0
    assert json.loads((tmp_path / "run" / "status.json").read_text())["state"] == "finished"
    assert len(rungs.read_text().splitlines()) == 4


def test_wrong_options_are_told_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    options = ["--hyperband.metric=val/loss", "--hyperband.rungs=r.jsonl"]
    assert main(["fit", *TINY, *options, "--runs_dir", str(tmp_path), "--name", "run"]) == 2
    assert "either min_iter or max_iter with s, but there is neither" in capsys.readouterr().err
    for wrong in (["--hyperband.min_iter=x"], ["--hyperband.iter=3"]):
        with pytest.raises(UserError) as raised:
            parse(["fit", *TINY, *options, *wrong])
        assert "\n" not in str(raised.value)
        assert len(str(raised.value)) < 200
