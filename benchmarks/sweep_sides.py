"""The ways to train a sweep that `sweep_throughput.py` compares."""

import itertools
import json
import os
import shlex
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import yaml
from process_tree import CORES, Watch
from torch.profiler import ProfilerActivity, profile

from lit_seq.run_folder import Status

BATCH = 64
GATES = {"LSTM": 4, "GRU": 3, "IRNN": 1}
CELLS = {
    "LSTM": ["LSTM"],
    "GRU": ["GRU"],
    "IRNN": ["Elman", "activation=relu", "recurrent_init=identity"],
}
RATES = [1e-4, 2e-4, 5e-4, 1e-3]
THRESHOLDS = [0.1, 0.5, 1.0, 5.0]
OFFLINE = {"WANDB_MODE": "offline", "WANDB_ERROR_REPORTING": "false", "WANDB_SILENT": "true"}


@dataclass(frozen=True)
class Case:
    """What the sweep trains."""

    cell: str
    hidden: int
    length: int

    def flops(self) -> float:
        """Return those of the recurrence in one training step of one trial."""
        of_hidden, of_input = (
            2 * BATCH * self.length * GATES[self.cell] * self.hidden * size for size in (self.hidden, 2)
        )
        return 3 * of_hidden + 2 * of_input

    def axes(self, trials: int) -> tuple[list[float], list[float], list[int]]:
        """Return the grid's learning rates, thresholds and seeds for 1, 4 or a multiple of 16 trials."""
        return RATES[:trials], THRESHOLDS[: max(1, trials // 4)], list(range(1, max(1, trials // 16) + 1))

    def trials(self, count: int, steps: int, of: int = 64) -> list[dict[str, Any]]:
        """Return `count` trials, evenly spread over a grid of `of`, as plain_lightning.py takes them."""
        grid = list(itertools.product(*self.axes(of)))[:: of // count][:count]
        fixed = {
            "cell": self.cell,
            "hidden": self.hidden,
            "length": self.length,
            "batch": BATCH,
            "steps": steps,
        }
        return [{**fixed, "lr": lr, "clip": clip, "seed": seed} for lr, clip, seed in grid]

    def arguments(self, steps: int) -> list[str]:
        """Return what all trials have in common on lit-seq's command line."""
        cell, *options = CELLS[self.cell]
        return [
            "fit",
            "--model=ManyToOne",
            f"--model.core.cell={cell}",
            *(f"--model.core.cell.{option}" for option in options),
            f"--model.core.hidden_size={self.hidden}",
            "--data=AddingProblem",
            f"--data.length={self.length}",
            f"--data.batch_size={BATCH}",
            "--data.validation_size=0",
            "--checkpoint.monitor=train/loss",
            f"--trainer.max_steps={steps}",
        ]

    def sweep_file(self, trials: int, steps: int) -> dict[str, Any]:
        """Return the W&B sweep file of the same grid."""
        rates, thresholds, seeds = self.axes(trials)
        return {
            "name": "throughput",
            "method": "grid",
            "metric": {"name": "train/loss", "goal": "minimize"},
            "parameters": {
                "optimizer.lr": {"values": rates},
                "trainer.gradient_clip_val": {"values": thresholds},
                "seed_everything": {"values": seeds},
            },
            "command": [
                *("${env}", "lit-seq", *self.arguments(steps)),
                *("--config", "${args_json_file}"),
            ],
        }


@dataclass
class Turn:
    """One measurement of one side.

    Attributes:
        trials: trials trained.
        steps: of each.
        seconds: from the command to its end.
        pace: seconds of a further step of a trial, divided by how many trials run at once.
        processor: core seconds of a trial.
        memory: peak in MiB.
        others: part of the machine that other programs took.
    """

    trials: int
    steps: int
    seconds: float
    pace: float
    processor: float
    memory: float
    others: float

    def per_hour(self, steps: int) -> float:
        """Return trials of `steps` steps per hour."""
        return 3600 * self.trials / (self.seconds + (steps - self.steps) * self.pace * self.trials)


def processes(case: Case, count: int, at_once: int, steps: int) -> Turn:
    """Measure (a): `count` trials, a process each, `at_once` of them at any time."""
    trials = case.trials(count, steps, max(64, count))
    with TemporaryDirectory() as folder, ThreadPoolExecutor(at_once) as agents, Watch() as watch:
        threads = max(1, CORES // at_once)
        paces = list(agents.map(lambda trial: _plain([trial], folder, threads)[0], trials))
    return Turn(
        count,
        steps,
        watch.seconds,
        statistics.mean(paces) / at_once,
        watch.processor / count,
        watch.memory,
        watch.others,
    )


def in_turn(case: Case, count: int, trials: int, steps: int) -> Turn:
    """Measure (b): one trial in a process, then 1 + `count` in another; return what `trials` would take."""
    values = case.trials(1 + count, steps, max(64, 1 + count))
    with TemporaryDirectory() as folder, Watch() as first:
        _plain(values[:1], folder, CORES)
    with TemporaryDirectory() as folder, Watch() as several:
        paces = _plain(values, folder, CORES)
    each = (several.seconds - first.seconds) / count
    processor = (several.processor - first.processor) / count
    pace = statistics.mean(paces[1:])
    return Turn(
        trials, steps, first.seconds + (trials - 1) * each, pace, processor, several.memory, several.others
    )


def packed(case: Case, trials: int, steps: int, workers: int, pack: str = "auto") -> Turn:
    """Measure (c): `lit-seq sweep`, from the command to the end of its report."""
    options = ["--workers", str(workers), "--pack", pack]
    with TemporaryDirectory() as folder:
        file = Path(folder) / "throughput.yaml"
        file.write_text(yaml.safe_dump(case.sweep_file(trials, steps)))
        program = Path(sys.executable).with_name("lit-seq")
        with Watch() as watch:
            _output([str(program), "sweep", str(file), "--runs_dir", folder, *options], os.environ | OFFLINE)
        ends = [Status.read(path) for path in Path(folder).glob("throughput/trials/*")]
    if [end.step for end in ends if end.state == "finished"] != [steps] * trials:
        sys.exit(f"{case}: not all of {trials} trials finished: {ends}")
    pace = statistics.mean(end.share for end in ends) / steps / workers
    return Turn(trials, steps, watch.seconds, pace, watch.processor / trials, watch.memory, watch.others)


def launches(case: Case, trials: int) -> tuple[float, float]:
    """Return the kernels that a training step launches: of one plain trial, and of a pack of `trials`."""
    from plain_lightning import train

    from lit_seq.packing.run import run_pack

    os.environ |= OFFLINE

    def plain(steps: int) -> None:
        with TemporaryDirectory() as folder:
            train(**case.trials(1, steps)[0], folder=folder)

    def pack(steps: int) -> None:
        with TemporaryDirectory() as folder:
            own = [
                [f"--optimizer.lr={trial['lr']}", f"--seed_everything={trial['seed']}", f"--name={number}"]
                for number, trial in enumerate(case.trials(trials, steps, max(64, trials)))
            ]
            run_pack([[*case.arguments(steps), f"--runs_dir={folder}", *words] for words in own])

    few, many = 30, 60
    of_plain, of_pack = ((_launches(run, many) - _launches(run, few)) / (many - few) for run in (plain, pack))
    return of_plain, of_pack


def _launches(run: Callable[[int], None], steps: int) -> int:
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        run(steps)
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    starts = ("cudaLaunchKernel", "cuLaunchKernel", "cudaGraphLaunch")
    return sum(event.count for event in profiler.key_averages() if event.key.startswith(starts))


def _plain(trials: Sequence[dict[str, Any]], folder: str, threads: int) -> list[float]:
    """Train trials in one process of plain Lightning; return the seconds that each says a step takes."""
    program = Path(__file__).with_name("plain_lightning.py")
    words = [json.dumps({**trial, "folder": folder}) for trial in trials]
    environment = os.environ | OFFLINE | {"OMP_NUM_THREADS": str(threads)}
    lines = _output([sys.executable, str(program), *words], environment).splitlines()
    return [json.loads(line)["seconds_a_step"] for line in lines if line.startswith("{")]


def _output(words: Sequence[str], environment: dict[str, str]) -> str:
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{shlex.join(words)[:300]} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return done.stdout
