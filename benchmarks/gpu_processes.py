"""K processes at once on one GPU, each with a trial of its own; gpu_operators.py --processes starts them."""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

import torch
from gpu_sides import Case, in_turn

SECONDS = 5.0
"""How long they run."""


def rounds_of_one(case: Case) -> None:
    """Run one layer of cuDNN's until the time is up, as one process of several; print how often."""
    side = in_turn(case)
    for _ in range(5):
        side()
    torch.cuda.synchronize()
    print("ready", flush=True)
    sys.stdin.readline()
    count, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        side()
        torch.cuda.synchronize()
        count += 1
    print(count, flush=True)


def at_once(case: Case, environment: dict[str, str]) -> float:
    """Return the seconds in which K processes at once do a round each."""
    options = [f"--{name}={getattr(case, name)}" for name in ("hidden", "time", "precision")]
    command = [sys.executable, __file__, f"--cell={case.layer}", *options]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        for _ in range(case.trials)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a process did not start")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [int(process.communicate()[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return SECONDS * case.trials / sum(said)


@contextlib.contextmanager
def mps() -> Iterator[dict[str, str] | None]:
    """Start NVIDIA's multi-process service, where that is allowed; give the environment to reach it by."""
    if shutil.which("nvidia-cuda-mps-control") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        environment = {**os.environ, **own}
        started = subprocess.run(["nvidia-cuda-mps-control", "-d"], env=environment, check=False)
        yield own if started.returncode == 0 else None
        subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, env=environment, check=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cell", required=True)
    parser.add_argument("--hidden", type=int, required=True)
    parser.add_argument("--time", type=int, required=True)
    parser.add_argument("--precision", required=True)
    given = parser.parse_args()
    torch.set_float32_matmul_precision(given.precision)
    rounds_of_one(Case(given.cell, given.hidden, 1, given.time, given.precision, "cuda"))
