"""Real sweeps of tiny trials, with real workers."""

import csv
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from lit_seq.cli import main
from lit_seq.run_folder import Status
from lit_seq.sweep.folder import locked

HERE = Path(__file__).parent
TINY = [
    *(
        "--model",
        "ManyToOne",
        "--model.core.hidden_size",
        "4",
        "--data",
        "AddingProblem",
        "--data.length",
        "10",
    ),
    *("--data.batch_size", "4", "--data.validation_size", "8", "--data.train_batches", "10"),
    *("--trainer.log_every_n_steps", "2", "--checkpoint.every_steps", "1"),
]


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(HERE))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def write(parameters: dict[str, Any], *options: Any, name: str = "tiny", **more: Any) -> str:
    content = {
        "method": "grid",
        "metric": {"name": "val/loss", "goal": "minimize"},
        "command": ["lit-seq", "fit", *TINY, *map(str, options), "--config", "${args_json_file}"],
        "parameters": parameters,
        **more,
    }
    Path(f"{name}.yaml").write_text(yaml.safe_dump(content))
    return f"{name}.yaml"


def statuses(folder: str = "runs/tiny") -> list[Status]:
    return [Status.read(path) for path in sorted(Path(folder, "trials").iterdir())]


def logged(trial: str) -> list[int]:
    with Path("runs/tiny/trials", trial, "metrics.csv").open() as file:
        return [int(row["step"]) for row in csv.DictReader(file)]


def weights(run: str) -> dict[str, torch.Tensor]:
    return torch.load(Path(run, "checkpoints/last.ckpt"), weights_only=True)["state_dict"]


def files(folder: str) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def test_a_sweep_leaves_run_folders_and_a_report_and_is_not_run_twice(capfd: pytest.CaptureFixture) -> None:
    parameters = {"model.core.cell": {"values": ["Elman", "GRU"]}, "seed_everything": {"value": 5}}
    file = write(parameters, "--trainer.max_steps", 6, project="demo")
    assert main(["sweep", file]) == 0
    printed = capfd.readouterr().out
    assert "2 trials" in printed
    assert "0001  GRU  finished  6/6  val/loss" in printed
    assert "Report: runs/tiny/report.html" in printed
    assert Path("runs/tiny/report.html").stat().st_size > 1000
    assert Path("runs/tiny/sweep.yaml").read_text() == Path(file).read_text()
    assert {"date", "command", "commit", "versions", "devices"} <= set(
        json.loads(Path("runs/tiny/environment.json").read_text())
    )
    both = statuses()
    assert [s.state for s in both] == ["finished", "finished"]
    assert [s.overrides for s in both] == [
        {"model.core.cell": "Elman", "seed_everything": 5},
        {"model.core.cell": "GRU", "seed_everything": 5},
    ]
    assert len({s.wandb_run_id for s in both}) == 2
    mirrored = Path("runs/tiny/wandb").glob(f"offline-run-*-{both[0].wandb_run_id}-report/report.html")
    assert [page.read_bytes() for page in mirrored] == [Path("runs/tiny/report.html").read_bytes()]
    for number, status in enumerate(both):
        trial = Path(f"runs/tiny/trials/{number:04d}")
        assert list(trial.glob(f"wandb/offline-run-*-{status.wandb_run_id}"))
        config = yaml.safe_load((trial / "config.yaml").read_text())
        assert (config["wandb"]["group"], config["wandb"]["project"]) == ("tiny", "demo")
        assert "finished" in (trial / "log.txt").read_text()
    best = min(both, key=lambda status: status.metrics["val/loss"]).overrides["model.core.cell"]
    assert f"by {best}." in printed

    before = files("runs/tiny/trials")
    assert main(["sweep", file]) == 2
    assert "--resume" in capfd.readouterr().err
    other = write(parameters, "--trainer.max_steps", 7, name="other")
    assert main(["sweep", other, "--name", "tiny", "--resume"]) == 2
    assert "another sweep" in capfd.readouterr().err
    Path("runs/tiny/report.html").unlink()
    assert main(["sweep", file, "--resume"]) == 0
    assert Path("runs/tiny/report.html").exists()
    assert files("runs/tiny/trials") == before


@pytest.mark.slow
def test_a_killed_worker_costs_its_trial_and_resume_takes_it_up(capfd: pytest.CaptureFixture) -> None:
    options = ["--trainer.max_steps", 12, "--wandb.mode", "disabled"]
    killer = [
        *("--trainer.callbacks+=sweep_parts.KillOnce", "--trainer.callbacks.marker=killed"),
        *("--trainer.callbacks.name=0000", "--trainer.callbacks.step=7"),
    ]
    file = write({"seed_everything": {"values": [1, 2]}}, *options, *killer)
    assert main(["sweep", file]) == 1
    assert "0000 failed: its worker was killed by SIGKILL" in capfd.readouterr().out
    assert not Path("runs/tiny/wandb").exists()
    failed, finished = statuses()
    assert (failed.state, finished.state) == ("failed", "finished")
    assert "SIGKILL" in (failed.reason or "")
    before = files("runs/tiny/trials/0001")

    assert main(["sweep", file, "--resume"]) == 0
    first, _ = statuses()
    assert (first.state, first.step, first.wandb_run_id) == ("finished", 12, failed.wandb_run_id)
    assert files("runs/tiny/trials/0001") == before
    assert logged("0000") == logged("0001") == sorted(logged("0001"))
    # The seed decides the weights, and no interruption does.
    alone = ["--name", "alone", "--trainer.enable_progress_bar", "false", "--seed_everything", "1"]
    assert main(["fit", *TINY, *map(str, options), *alone]) == 0
    torch.testing.assert_close(weights("runs/tiny/trials/0000"), weights("runs/alone"), rtol=0, atol=0)


def test_diverged_and_failed_trials_are_told(
    capfd: pytest.CaptureFixture,
) -> None:
    file = write(
        {"optimizer.lr": {"values": [0.01, 1e30]}, "data.length": {"values": [10, 1]}},
        *("--trainer.max_steps", 12, "--wandb.mode", "disabled", "--optimizer", "SGD"),
    )
    assert main(["sweep", file]) == 1
    printed = capfd.readouterr().out
    assert [s.state for s in statuses()] == ["finished", "diverged", "failed", "failed"]
    assert "0001 diverged: " in printed
    assert "0002 failed: " in printed
    assert "at least 2" in (statuses()[2].reason or "")
    assert "by length 10, lr 0.01." in printed


@pytest.mark.slow
def test_a_pack_of_which_all_fail_ends_with_their_reasons(capfd: pytest.CaptureFixture) -> None:
    cells = {"model.core.cell": {"values": ["sweep_parts.Broken", "GRU"]}}
    file = write(
        {**cells, "optimizer.lr": {"values": [0.01, 0.02]}},
        *("--trainer.max_steps", 2, "--wandb.mode", "disabled"),
    )
    assert main(["sweep", file]) == 1
    assert [s.state for s in statuses()] == ["failed", "failed", "finished", "finished"]
    assert all("this cell is broken" in (status.reason or "") for status in statuses()[:2])
    assert "0001 failed: " in capfd.readouterr().out


@pytest.mark.parametrize(
    ("parameters", "more", "words"),
    [
        ({"optimizer.lrr": {"values": [1, 2]}}, {}, ["lrr", "trial 0"]),
        ({"model.core.cell": {"values": ["LSTM", "LTSM"]}}, {}, ["LTSM", "trial 1"]),
        ({"model.core.hidden_size": {"values": [1, "many"]}}, {}, ["hidden_size", "trial 1"]),
        (
            {"seed_everything": {"value": 1}},
            {"metric": {"name": "val/los"}},
            ["val/los", "val/loss", "trial 0"],
        ),
    ],
)
def test_a_wrong_trial_stops_everything_before_it_starts(
    capfd: pytest.CaptureFixture, parameters: dict, more: dict, words: list[str]
) -> None:
    assert main(["sweep", write(parameters, **more)]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    for word in words:
        assert word in error
    assert not Path("runs").exists()


def test_folders_that_hold_something_else_are_left_alone(capfd: pytest.CaptureFixture) -> None:
    file = write({"seed_everything": {"value": 1}})
    Path("runs/tiny").mkdir(parents=True)
    Path("occupied").touch()
    for options, words in (
        ([], "holds no sweep"),
        (["--resume"], "holds no sweep"),
        (["--name", "a/b"], "'a/b'"),
        (["--name", ".."], "'..'"),
        (["--workers", "0"], "--workers"),
        (["--runs_dir", "occupied"], "cannot be written"),
        (["--storage", "nonsense", "--name", "x"], "nonsense"),
    ):
        assert main(["sweep", file, *options]) == 2
        assert words in capfd.readouterr().err
    assert list(Path("runs").rglob("*")) == [Path("runs/tiny")]


def start(file: str, *options: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "lit_seq", "sweep", file, *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parent.parent)])}
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def wait_for_step(step: int, trials: int = 1) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if Path("runs/tiny").exists() and sum(s.step >= step for s in statuses()) >= trials:
            return
        time.sleep(0.1)
    raise TimeoutError(f"no trial reached step {step}")


def slow_sweep(count: int = 2) -> str:
    Path("slow").touch()
    return write(
        {"seed_everything": {"values": list(range(count))}},
        *("--trainer.max_steps", 120, "--wandb.mode", "disabled", "--checkpoint.every_steps", 10),
        *("--trainer.callbacks+=sweep_parts.Slow", "--trainer.callbacks.marker=slow"),
    )


def finish(file: str) -> None:
    """Resume at full speed, and check that what was done is not done again."""
    reached = max(status.step for status in statuses())
    Path("slow").unlink()
    assert main(["sweep", file, "--resume"]) == 0
    for number, status in enumerate(statuses()):
        assert (status.state, status.step) == ("finished", 120)
        assert logged(f"{number:04d}") == sorted(logged(f"{number:04d}"))
    log = Path("runs/tiny/trials/0000/log.txt").read_text()
    assert log.count("parameters, in") == 2  # started, and taken up
    assert reached >= 20


def check_interrupted() -> None:
    running, queued = statuses()
    assert (running.state, queued.state) == ("running", "queued")
    saved = torch.load("runs/tiny/trials/0000/checkpoints/last.ckpt", weights_only=True)["global_step"]
    assert 20 <= saved < 120


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on(capfd: pytest.CaptureFixture) -> None:
    file = slow_sweep()

    def interrupt() -> None:
        wait_for_step(20)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    assert main(["sweep", file]) == 130
    assert "--resume" in capfd.readouterr().err
    check_interrupted()
    finish(file)


@pytest.mark.slow
@pytest.mark.parametrize("sender", ["terminal", "SLURM"])
def test_an_interrupted_process_says_how_to_go_on(sender: str) -> None:
    file = slow_sweep()
    driver = start(file)
    wait_for_step(20)
    if sender == "terminal":
        driver.send_signal(signal.SIGINT)
    else:  # every process of the job step gets it
        for process in (driver.pid, *children(driver.pid)):
            os.kill(process, signal.SIGTERM)
    printed, _ = driver.communicate(timeout=60)
    assert driver.returncode == 130
    assert f"lit-seq sweep {file} --resume" in printed
    check_interrupted()
    assert "twice" not in Path("runs/tiny/trials/0000/log.txt").read_text()
    finish(file)


@pytest.mark.slow
def test_a_second_signal_kills() -> None:
    file = slow_sweep()
    driver = start(file, "--workers", "2")
    wait_for_step(20, trials=2)
    # A stopped worker cannot save: only the second signal ends this sweep.
    workers = children(driver.pid)
    assert len(workers) == 2
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    driver.send_signal(signal.SIGINT)
    with pytest.raises(subprocess.TimeoutExpired):
        driver.wait(timeout=3)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(timeout=20) == 130
    assert not any(alive(worker) for worker in workers)
    finish(file)


@pytest.mark.slow
def test_a_killed_driver_takes_its_workers_along_and_resume_waits_for_them() -> None:
    file = slow_sweep()
    driver = start(file, "--workers", "2")
    wait_for_step(20, trials=2)
    workers = children(driver.pid)
    driver.kill()
    driver.wait()
    finish(file)  # at once, while the workers still save
    assert not any(alive(worker) for worker in workers)


@pytest.mark.slow
def test_a_target_ends_the_sweep_and_two_drivers_are_refused(capfd: pytest.CaptureFixture) -> None:
    metric = {"name": "val/loss", "goal": "minimize", "target": 1e6}
    options = ["--trainer.max_steps", 2, "--wandb.mode", "disabled"]
    file = write({"seed_everything": {"values": [1, 2, 3]}}, *options, metric=metric)
    assert main(["sweep", file, "--pack", "off"]) == 0
    assert [s.state for s in statuses()] == ["finished", "queued", "queued"]
    capfd.readouterr()
    with locked(Path("runs/tiny")):
        assert main(["sweep", file, "--resume"]) == 2
    assert f"process {os.getpid()}" in capfd.readouterr().err
    assert main(["sweep", file, "--resume"]) == 0
    assert [s.state for s in statuses()] == ["finished", "queued", "queued"]


def children(process: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        fields = path.read_text().rpartition(")")[2].split()
        if int(fields[1]) == process and b"lit_seq.sweep.worker" in path.with_name("cmdline").read_bytes():
            found.append(int(path.parent.name))
    return found


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
