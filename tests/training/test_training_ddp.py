"""Two processes train what one trains with batches twice as large."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ddp_cases import COMMON, STEPS, cases, write_data
from torch import distributed
from torch.utils._pytree import tree_leaves

from lit_seq.cli import main
from lit_seq.run_folder import Status

TWO = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--data.batch_size", "4"]
ONE = ["--data.batch_size", "8"]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def in_two_processes(commands: list[list[str]]) -> list[int]:
    """Run command lines in two processes that are started from outside, and return the first one's codes."""
    tasks = json.dumps([(free_port(), command) for command in commands])
    here = Path(__file__).parent
    others = []
    for rank in range(2):
        environment = {**os.environ, "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
        process = subprocess.Popen(
            [sys.executable, str(here / "ddp_worker.py")],
            env={**environment, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        process.stdin.write(tasks)
        process.stdin.close()
        others.append(process)
    said = [process.stdout.read().split() for process in others]
    assert [process.wait() for process in others] == [0, 0]
    return [int(code) for code in said[0]]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open() as file:
        return list(csv.DictReader(file))


def samples(folder: Path) -> tuple[list[object], list[float]]:
    """Return what the samples of a run say: words and counts, and numbers that are computed."""
    lines = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    leaves = tree_leaves(lines)
    numbers = [leaf for leaf in leaves if isinstance(leaf, float)]
    return [leaf for leaf in leaves if not isinstance(leaf, float)], numbers


def assert_alike(one: Path, two: Path) -> None:
    ends = [(status.state, status.step) for status in map(Status.read, (one, two))]
    assert ends[0] == ends[1]
    assert len(rows(one)) == len(rows(two))
    for expected, found in zip(rows(one), rows(two), strict=True):
        numbers = [{name: float(value) for name, value in row.items() if value} for row in (expected, found)]
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-10, abs=1e-12)
    states = [torch.load(run / "checkpoints" / "last.ckpt", weights_only=True) for run in (one, two)]
    for name, tensor in states[0]["state_dict"].items():
        torch.testing.assert_close(states[1]["state_dict"][name], tensor, rtol=1e-10, atol=1e-12)
    (words, numbers), (expected_words, expected) = (samples(run) for run in (two, one))
    assert words == expected_words
    assert numbers == pytest.approx(expected, rel=1e-9, abs=1e-12)


@pytest.mark.slow
def test_all_kinds_of_data_and_losses_and_errors(tmp_path, capfd):
    write_data(tmp_path)
    found = cases(tmp_path)
    command = ["fit", *COMMON, "--runs_dir", str(tmp_path)]
    runs = [[*command, *found[name], *TWO, "--name", f"two {name}"] for name in found]
    faulty = [*command, *found["streams"], *TWO, "--trainer.callbacks+=ddp_faults.Fault"]
    faults = [
        [
            *faulty,
            f"--trainer.callbacks.kind={kind}",
            f"--trainer.callbacks.rank={rank}",
            "--name",
            f"{kind} {rank}",
        ]
        for kind in ("user", "bug")
        for rank in (1, 0)
    ]
    assert in_two_processes([*runs, *faults]) == [0] * len(runs) + [2, 2, 1, 1]
    said = capfd.readouterr().err
    assert said.count("The cat is on the table; it must be under it.\n") == 2
    assert said.count("RuntimeError: No cat.\n") == 2
    for kind, rank in (("user", 1), ("user", 0), ("bug", 1), ("bug", 0)):
        assert Status.read(tmp_path / f"{kind} {rank}").state == "failed"
    for name, options in found.items():
        assert main([*command, *options, *ONE, "--name", f"one {name}"]) == 0
        assert_alike(tmp_path / f"one {name}", tmp_path / f"two {name}")
    steps = {name: Status.read(tmp_path / f"one {name}").step for name in found}
    assert {name: step for name, step in steps.items() if step != STEPS} == {
        "stopped early": 15,
        "stopped by hyperband": 10,
    }


LAUNCHED = [
    *("fit", "--model", "LanguageModel", "--model.core.hidden_size", "6", "--model.core.dropout", "0.3"),
    *(
        "--data",
        "Text",
        "--data.path",
        "text",
        "--data.chunk_length",
        "11",
        "--trainer.val_check_interval",
        "10",
    ),
    *("--trainer.accelerator", "cpu", *TWO, "--trainer.max_steps", "40", "--wandb.mode", "offline"),
]


PORT = str(free_port())


def launch(folder: Path, *options: str) -> subprocess.Popen[str]:
    """Start lit-seq, which starts the other process itself, and lets no MASTER_PORT get in its way."""
    command = [sys.executable, "-m", "lit_seq", *LAUNCHED, "--data.data_files", str(folder / "book.txt")]
    return subprocess.Popen(
        [*command, "--runs_dir", str(folder), *options],
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "MASTER_PORT": PORT,
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_what_is_interrupted_goes_on_as_if_it_were_not(tmp_path, capsys):
    write_data(tmp_path)
    slow = ["--trainer.callbacks+=ddp_faults.Pause", "--trainer.callbacks.folder", str(tmp_path)]
    broken = launch(tmp_path, "--name", "broken", *slow)
    wait_for((tmp_path / "paused").exists)
    broken.send_signal(signal.SIGTERM)
    (tmp_path / "paused").unlink()
    assert broken.wait() == 130
    said = broken.stderr.read()
    assert said.count("2 processes, in") == 1
    assert said.count("interrupted by SIGTERM") == 1
    assert Status.read(tmp_path / "broken").step < 40
    resumed = launch(tmp_path, "--name", "broken", "--ckpt_path", "last")
    whole = launch(tmp_path, "--name", "whole")
    said = [run.communicate()[1] for run in (resumed, whole)]
    assert (resumed.returncode, whole.returncode) == (0, 0), "\n".join(said)
    assert said[1].count("finished") == 1
    assert (tmp_path / "broken" / "metrics.csv").read_text() == (
        tmp_path / "whole" / "metrics.csv"
    ).read_text()
    assert len(list((tmp_path / "whole" / "wandb").glob("offline-run-*"))) == 1
    # One process goes on with what two began, if a batch stays what it was, and judges it anyway.
    assert main(["test", "--ckpt_path", str(tmp_path / "whole" / "checkpoints" / "best.ckpt")]) == 0
    one = ["--runs_dir", str(tmp_path), "--name", "whole", "--ckpt_path", "last", "--trainer.devices", "1"]
    one = ["fit", *one, "--trainer.max_steps", "45"]
    assert main(one) == 2
    said = capsys.readouterr().err
    assert "data.batch_size times the number of processes (2, and now 1) must stay the same" in said
    names = ("LOCAL_RANK", "MASTER_PORT", "WORLD_SIZE")
    before = [os.environ.get(name) for name in names]
    assert main([*one, "--data.batch_size", "8"]) == 0
    # Nothing is left by which the next run would take itself for a part of this one.
    assert [os.environ.get(name) for name in names] == before
    assert not distributed.is_initialized()
    assert rows(tmp_path / "whole")[-1]["step"] == "44"


@pytest.mark.slow
def test_a_process_that_is_killed_ends_the_run(tmp_path):
    write_data(tmp_path)
    fault = ["--trainer.callbacks+=ddp_faults.Fault", "--trainer.callbacks.kind=killed"]
    run = launch(tmp_path, "--name", "run", *fault)
    _, said = run.communicate()
    assert run.returncode == 1
    assert "failed (process 1 of 2 ended by SIGKILL)" in said
    assert "Traceback" not in said
