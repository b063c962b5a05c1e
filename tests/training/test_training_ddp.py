"""Two processes train what one trains with batches twice as large."""

import csv
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ddp_cases import COMMON, cases, write_data
from torch.utils._pytree import tree_leaves

from lit_seq.cli import main

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
def test_all_kinds_of_data_and_losses(tmp_path):
    write_data(tmp_path)
    found = cases(tmp_path)
    command = ["fit", *COMMON, "--runs_dir", str(tmp_path)]
    runs = [[*command, *found[name], *TWO, "--name", f"two {name}"] for name in found]
    assert in_two_processes(runs) == [0] * len(runs)
    for name, options in found.items():
        assert main([*command, *options, *ONE, "--name", f"one {name}"]) == 0
        assert_alike(tmp_path / f"one {name}", tmp_path / f"two {name}")
