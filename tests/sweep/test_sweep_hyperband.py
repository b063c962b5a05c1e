"""Sweeps whose trials hyperband stops."""

import csv
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from lit_seq.cli import main
from lit_seq.errors import UserError
from lit_seq.report.configurations import varying_keys
from lit_seq.report.read import read_runs
from lit_seq.run_folder import Status

HERE = Path(__file__).parent
TINY = [
    *("--model", "ManyToOne", "--model.core.hidden_size", "4", "--data", "AddingProblem"),
    *("--data.length", "6", "--data.batch_size", "4", "--data.validation_size", "8"),
    *("--data.train_batches", "2", "--trainer.max_steps", "20", "--trainer.log_every_n_steps", "2"),
    *("--checkpoint.every_steps", "1", "--wandb.mode", "disabled"),
]
RATES = [0.3, 0.003, 0.01, 0.03, 0.001]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def write(*options: str, **more: Any) -> str:
    content = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "early_terminate": {"type": "hyperband", "min_iter": 2, "eta": 2, "strict": True},
        "command": ["lit-seq", "fit", *TINY, *options, "--config", "${args_json_file}"],
        "parameters": {"optimizer.lr": {"values": RATES}},
        **more,
    }
    Path("tiny.yaml").write_text(yaml.safe_dump(content))
    return "tiny.yaml"


def trials(name: str) -> list[Path]:
    return sorted(Path("runs", name, "trials").glob("*"))


def history(trial: Path) -> list[float]:
    with (trial / "metrics.csv").open() as file:
        return [float(row["val/loss"]) for row in csv.DictReader(file) if row["val/loss"]]


def statuses(name: str) -> list[Status]:
    found = []
    for trial in trials(name):
        with suppress(UserError):
            found.append(Status.read(trial))
    return found


class Trained(NamedTuple):
    status: Status
    values: list[float]


def result(name: str) -> list[Trained]:
    return [Trained(Status.read(trial), history(trial)) for trial in trials(name)]


def test_a_pack_of_a_sweep_is_halved(capfd: pytest.CaptureFixture) -> None:
    file = write()
    assert main(["sweep", file]) == 0
    printed = capfd.readouterr().out
    trained = result("tiny")
    # Of five the third best value counts; then, of those that are left, the one behind the best half.
    there = list(range(len(RATES)))
    for bracket in (2, 4, 8):
        threshold = sorted(trained[index].values[bracket - 1] for index in there)[len(there) // 2]
        there = [index for index in there if trained[index].values[bracket - 1] <= threshold]
        ended = [index for index, trial in enumerate(trained) if len(trial.values) == bracket]
        assert not set(ended) & set(there)
    assert [index for index, trial in enumerate(trained) if trial.status.state == "finished"] == there
    for index, trial in enumerate(trained):
        if index not in there:
            iterations, reason = len(trial.values), trial.status.reason or ""
            assert (trial.status.state, trial.status.step) == ("stopped", 2 * iterations)
            assert reason.startswith(f"stopped by hyperband at iteration {iterations}: val/loss ")
            lines = [line for line in printed.splitlines() if line.startswith(f"{index:04d}")]
            assert len(lines) == 2  # it started, it stopped
            assert f"stopped  {trial.status.step}/20" in lines[1]
            assert reason in lines[1]
    assert f"{len(RATES) - len(there)} stopped" in printed
    files = {path: path.stat().st_mtime_ns for path in Path("runs/tiny/trials").rglob("*")}
    assert main(["sweep", file, "--resume"]) == 0
    assert files == {path: path.stat().st_mtime_ns for path in files}
    config = yaml.safe_load(Path("runs/tiny/trials/0000/config.yaml").read_text())
    assert config["hyperband"] == {
        **{"metric": "val/loss", "goal": "minimize", "rungs": "runs/tiny/rungs.jsonl"},
        **{"min_iter": 2, "max_iter": None, "s": None, "eta": 2.0, "strict": True},
    }


@pytest.mark.slow
def test_trials_one_after_another_are_compared_with_those_before() -> None:
    file = write()
    assert main(["sweep", file, "--name", "packed"]) == 0
    assert main(["sweep", file, "--name", "alone", "--pack", "off"]) == 0
    packed, alone = result("packed"), result("alone")
    for index, trial in enumerate(alone):
        for bracket in (2, 4, 8):
            before = [one.values[bracket - 1] for one in alone[: index + 1] if len(one.values) >= bracket]
            if trial.values[bracket - 1] > sorted(before)[len(before) // 2]:
                assert (trial.status.state, len(trial.values)) == ("stopped", bracket)
                break
        else:
            assert trial.status.state == "finished"
    # What both trained, they trained alike.
    for one, other in zip(packed, alone, strict=True):
        both = min(len(one.values), len(other.values))
        assert one.values[:both] == pytest.approx(other.values[:both], rel=1e-4)
    runs = [run for name in ("packed", "alone") for run in read_runs(Path("runs", name))]
    chosen, together = varying_keys(runs)
    assert chosen == ["optimizer.lr"]
    assert not [key for key in together if "hyperband" in key]


@pytest.mark.slow
def test_a_killed_sweep_decides_as_one_that_was_not() -> None:
    file = write("--trainer.max_steps=60")
    assert main(["sweep", file, "--name", "whole"]) == 0
    arguments = [sys.executable, "-m", "lit_seq", "sweep", file, "--name", "cut"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    with subprocess.Popen(arguments, env=environment, start_new_session=True) as sweep:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            found = [status.state for status in statuses("cut")]
            if "stopped" in found and "running" in found:
                break
            time.sleep(0.005)
        os.killpg(sweep.pid, signal.SIGKILL)
    states = [status.state for status in statuses("cut")]
    assert "stopped" in states
    assert states.count("running") + states.count("queued") > 0
    stopped = [trial for trial, state in zip(trials("cut"), states, strict=True) if state == "stopped"]
    before = {path: path.stat().st_mtime_ns for trial in stopped for path in trial.rglob("*")}
    assert main(["sweep", file, "--name", "cut", "--resume"]) == 0
    assert before == {path: path.stat().st_mtime_ns for path in before}
    for one, other in zip(result("whole"), result("cut"), strict=True):
        assert one.values == other.values
        for key in ("state", "reason", "step"):
            assert getattr(one.status, key) == getattr(other.status, key)
