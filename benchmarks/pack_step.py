"""What a step of a pack costs besides its arithmetic, by the number of its trials.

    python benchmarks/pack_step.py [--quick] [--write]
    LIT_SEQ_TRITON=1 python benchmarks/pack_step.py --wall --hidden 64 --length 100 --batch 64   # on a GPU

The model is so small that its arithmetic hardly counts (adding problem, T = 4, batch 2, LSTM of 4 units,
Adam, clipping by norm; one thread, no W&B), so that what is left is what Lightning, the stack, the optimiser
and the bookkeeping of the trials cost. The trials see the same batches (`data.seed`), or each its own, as
they do by default. A step's time is the median of all steps of a run but the first 20, in processor time;
given is the median of the runs, which take turns, and in brackets their range. With the sizes of a real model
and the wall's clock, of which a run gives the mean, it is what a whole step takes of a pack and of a trial by
itself, on a GPU where there is one.
"""

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from datetime import date
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from page import device_name, write
from steps import starts
from sweep_sides import OFFLINE

from lit_seq.packing.pack import Pack
from lit_seq.topologies import ManyToOne

SKIPPED = 20
Clock = Callable[[], float]
OPTIONS = {
    "model": "ManyToOne",
    "model.core.cell": "LSTM",
    "data": "AddingProblem",
    "trainer.gradient_clip_val": 1.0,
    "trainer.limit_val_batches": 1,
    "trainer.enable_progress_bar": "false",
    "checkpoint.every_seconds": 1000,
    "wandb.mode": "disabled",
}


def step_time(trials: int, own_data: bool, steps: int, sizes: dict[str, int], clock: Clock) -> float:
    """Train trials, as a pack if they are several, and return the milliseconds of a step."""
    with TemporaryDirectory() as folder:
        common = {**OPTIONS, **sizes, "trainer.max_steps": steps, "trainer.val_check_interval": steps}
        common |= {"runs_dir": folder} if own_data else {"runs_dir": folder, "data.seed": 0}
        commands = [
            ["fit", *(f"--{key}={value}" for key, value in {**common, **own}.items())]
            for own in ({"seed_everything": trial, "name": trial} for trial in range(trials))
        ]
        with Path(folder, "log.txt").open("w") as log, redirect_stderr(log):
            found = starts(commands, clock, Pack if trials > 1 else ManyToOne)
    taken = [1000 * (later - one) for one, later in pairwise(found[SKIPPED:])]
    # A GPU is waited for at the steps that log only.
    return statistics.mean(taken) if clock is time.perf_counter else statistics.median(taken)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="one turn")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/")
    parser.add_argument("--wall", action="store_true", help="the wall's clock")
    parser.add_argument("--hidden", type=int, default=4)
    parser.add_argument("--length", type=int, default=4)
    parser.add_argument("--batch", type=int, default=2)
    options = parser.parse_args()
    os.environ |= OFFLINE
    torch.set_num_threads(1)
    versions = ", ".join(f"{package} {metadata.version(package)}" for package in ("torch", "lightning"))
    trials, steps, turns = (1, 2, 16, 64, 128), 300, 1 if options.quick else 3
    given = {"model.core.hidden_size": options.hidden, "data.length": options.length}
    given |= {"data.batch_size": options.batch}
    clock, device = time.perf_counter if options.wall else time.process_time, "cpu"
    if options.wall and torch.cuda.is_available():
        device = "cuda"
    cases = [(size, own) for size in trials for own in (False, True)]
    times: dict[tuple[int, bool], list[float]] = {case: [] for case in cases}
    for _ in range(turns):
        for case in cases:
            times[case].append(step_time(*case, steps, given, clock))
    lines = [
        f"# What a step of a pack costs besides its arithmetic on {device_name(device)}",
        f"\n{date.today()}, Python {platform.python_version()}, {versions}. "
        f"`python {' '.join(['benchmarks/pack_step.py', *sys.argv[1:]])}`, whose docstring says what is "
        f"measured and how. Milliseconds {'' if options.wall else 'of processor time '}a step; 1 is a trial "
        "by itself, in no pack.\n",
        "| trials | the same batches | its own batches each |",
        "|---|---|---|",
    ]
    for size in trials:
        cells = [
            f"{statistics.median(found):.2f} ({min(found):.2f} to {max(found):.2f})"
            for found in (times[size, False], times[size, True])
        ]
        lines.append(f"| {size} | {' | '.join(cells)} |")
    print("\n".join(lines))
    if options.write:
        write("pack-step", device, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
