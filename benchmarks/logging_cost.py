"""What logging the trials of a pack adds to a training step.

    python benchmarks/logging_cost.py [--quick]

Packs of 16 and of 64 trials of the adding problem (T = 100, hidden 64, batch 64; one thread) train with rows
logged at the default interval, to a metrics.csv and an offline W&B run for each trial, and with an interval
longer than the run; the two take turns (A B A B …). The cell is IRNN: its step is the shortest, so that
logging weighs most. Checkpoints and status.json are the same in both. A step's time is the mean over all
steps of a run but the first 20 and the last; what logging adds is the ratio of the two medians, less one, and
in brackets the lowest and the highest of all pairs of turns. Processor time is that of the training process;
the wall's has W&B's service in it, and whatever else the machine does.
"""

import argparse
import itertools
import os
import platform
import statistics
import sys
import time
from datetime import date
from importlib import metadata
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch
from page import device_name, write
from steps import starts
from sweep_sides import OFFLINE, Case

from lit_seq.allocator import keep_freed_memory
from lit_seq.configuration import TRAINER_DEFAULTS

SKIPPED = 20
BAR = 0.10


class Moment(NamedTuple):
    """A point in time, in seconds."""

    processor: float
    wall: float

    @classmethod
    def now(cls) -> "Moment":
        """Look at both clocks."""
        return cls(time.process_time(), time.perf_counter())


def step_time(case: Case, trials: int, steps: int, interval: int) -> Moment:
    """Train a pack, logging every `interval` steps, and return the time of a step."""
    with TemporaryDirectory() as folder:
        common = [*case.arguments(steps), f"--trainer.log_every_n_steps={interval}", f"--runs_dir={folder}"]
        own = [
            [f"--{key}={trial[value]}" for key, value in VARIED.items()] + [f"--name={number}"]
            for number, trial in enumerate(case.trials(trials, steps))
        ]
        found = starts([[*common, *words] for words in own], Moment.now)
    first, last = found[SKIPPED], found[-1]
    return Moment(
        *((end - start) / (len(found) - 1 - SKIPPED) for start, end in zip(first, last, strict=True))
    )


VARIED = {"optimizer.lr": "lr", "trainer.gradient_clip_val": "clip", "seed_everything": "seed"}


def added(logged: list[float], silent: list[float]) -> str:
    pairs = [one / other - 1 for one, other in itertools.product(logged, silent)]
    middle = statistics.median(logged) / statistics.median(silent) - 1
    return f"{middle:.1%} ({min(pairs):.1%} to {max(pairs):.1%})"


def row(trials: int, steps: int, turns: int) -> str:
    """Measure a pack and return its row of the table."""
    case, interval = Case("IRNN", 64, 100), TRAINER_DEFAULTS["log_every_n_steps"]
    times = [
        (step_time(case, trials, steps, interval), step_time(case, trials, steps, 10**9))
        for _ in range(turns)
    ]
    cells: list[Any] = [trials, steps, interval]
    for clock in Moment._fields:
        logged, silent = ([getattr(moment, clock) for moment in side] for side in zip(*times, strict=True))
        cells += [f"{1000 * statistics.median(side):.1f}" for side in (logged, silent)]
        cells += [added(logged, silent)]
    return "| " + " | ".join(map(str, [*cells, f"{BAR:.0%}"])) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    quick = parser.parse_args().quick
    os.environ |= OFFLINE
    keep_freed_memory()
    torch.set_num_threads(1)
    versions = ", ".join(
        f"{package} {metadata.version(package)}" for package in ("torch", "lightning", "wandb")
    )
    lines = [
        f"# What logging adds to a step of a pack on {device_name('cpu')}",
        f"\n{date.today()}, Python {platform.python_version()}, {versions}. "
        f"`python {' '.join(['benchmarks/logging_cost.py', *sys.argv[1:]])}`, whose docstring says what is "
        "measured and how. Milliseconds a step, logged and not.\n",
        "| trials | steps | interval | processor: logged | not | added | wall: logged | not | added | bar |",
        "|" + "---|" * 10,
    ]
    print("\n".join(lines), flush=True)
    for trials in (16,) if quick else (16, 64):
        lines.append(row(trials, 100 if quick else 200, 1 if quick else 3))
        print(lines[-1], flush=True)
    if not quick:
        write("logging-cost", "cpu", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
