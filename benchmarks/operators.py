"""Operators of K stacked trials on the CPU against K layers of `torch.nn`, one after another.

    python benchmarks/operators.py [--quick]

A round is the forward and the backward pass of a whole scan, 100 steps, batch 64, float32, for every trial:
ours as one pack under vmap (alone for K = 1), theirs in a loop. Inputs have 2 features, as in the adding
problem, and need no gradient; or as many as there are hidden units, as between layers, and do. Both sides
run in this process with the same allocator setting (`lit_seq.allocator`) and take turns (A B A B …), with
one thread and with all cores. Times are medians with quartiles; the ratio is torch.nn's median over ours:
above 1, ours is the faster.

The share of the peak counts what the matrix products need, 2·T·B·(input + hidden)·gates·hidden operations
forward and twice that backward (less the gradient of inputs that need none), over what a product of two
512 × 512 matrices reaches with as many threads. Gates and memory are not counted, so that 100 % is out of
reach.
"""

import argparse
import itertools
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from cells import LAYERS, device_name, milliseconds
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.allocator import keep_freed_memory
from lit_seq.run_folder import replacing
from lit_seq.scan import implementation, native, scan

TIME, BATCH = 100, 64
BARS = {"LSTM": 1.4, "GRU": 2.0, "Elman tanh": 3.5, "Elman ReLU": 3.5}


class Scanned(nn.Module):
    """A cell along time, for `functional_call`."""

    def __init__(self, cell: Any) -> None:
        super().__init__()
        self.cell = cell
        self.path = ""

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the outputs, and remember what made them."""
        self.path = implementation(self.cell, inputs).name
        return scan(self.cell, inputs)[0]


@dataclass(frozen=True)
class Case:
    """Layers of one kind, and what they are run on."""

    layer: str
    hidden: int
    inputs: int
    trials: int

    def rounds(self) -> tuple[Callable[[], None], Callable[[], None], Scanned]:
        """Return a function for a round of torch.nn's, one for ours, and a module that knows our path."""
        torch.manual_seed(0)
        theirs_kind, ours_kind = LAYERS[self.layer]
        deep = self.inputs == self.hidden
        inputs = torch.randn(self.trials, TIME, BATCH, self.inputs, requires_grad=deep)
        gradient = torch.randn(self.trials, TIME, BATCH, self.hidden)
        leaves = [x.detach().requires_grad_(deep) for x in inputs]
        layers = [theirs_kind(self.inputs, self.hidden) for _ in range(self.trials)]
        models = [Scanned(ours_kind(self.inputs, self.hidden)) for _ in range(self.trials)]
        values, _ = stack_module_state(models)

        def theirs() -> None:
            for layer, x, dy in zip(layers, leaves, gradient, strict=True):
                layer.zero_grad()
                x.grad = None
                layer(x)[0].backward(dy)

        def alone() -> None:
            models[0].zero_grad()
            leaves[0].grad = None
            models[0](leaves[0]).backward(gradient[0])

        def packed() -> None:
            for value in values.values():
                value.grad = None
            inputs.grad = None
            vmap(lambda v, x: functional_call(models[0], v, (x,)))(values, inputs).backward(gradient)

        return theirs, alone if self.trials == 1 else packed, models[0]

    def operations(self) -> float:
        """Return the multiplications and additions of a round's matrix products."""
        gates = {"LSTM": 4, "GRU": 3}.get(self.layer, 1)
        forward = 2 * self.trials * TIME * BATCH * gates * self.hidden
        return forward * (3 * self.hidden + (3 if self.inputs == self.hidden else 2) * self.inputs)


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def in_turns(functions: tuple[Callable[[], None], ...], budget: float, least: int) -> list[list[float]]:
    for function in functions * 2:
        function()
    found: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + budget
    while len(found[0]) < least or time.perf_counter() < end:
        for times, function in zip(found, functions, strict=True):
            times.append(seconds(function))
    return found


def peak() -> float:
    """Return operations a second of a matrix product, the best of many."""
    a, b, out = (torch.randn(512, 512) for _ in range(3))
    return 2 * 512**3 / min(seconds(lambda: torch.mm(a, b, out=out)) for _ in range(200))


def cases(quick: bool) -> list[tuple[Case, int]]:
    cores = torch.get_num_threads()
    threads = (1,) if quick or cores == 1 else (1, cores)
    sizes, trials = ((64, 128), (1, 4)) if quick else ((64, 128), (1, 4, 16))
    found = [
        (Case(layer, hidden, inputs, k), count)
        for layer, hidden, count, k in itertools.product(LAYERS, sizes, threads, trials)
        for inputs in ((2,) if quick else (2, hidden))
    ]
    if not quick:
        large = itertools.product(LAYERS, threads, (1, 4))
        found += [(Case(layer, 512, 512, k), count) for layer, count, k in large]
    return found


def measure(quick: bool) -> str:
    """Return the results as a page of Markdown."""
    kept = keep_freed_memory()
    chosen = cases(quick)
    peaks = {}
    for threads in sorted({threads for _, threads in chosen}):
        torch.set_num_threads(threads)
        peaks[threads] = peak()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    operators = native.unavailable() or f"native operators with {native.instructions()}"
    reached = ", ".join(
        f"{value / 1e9:.0f} GFLOP/s with {threads} threads" for threads, value in peaks.items()
    )
    memory = "freed memory kept" if kept else "the default allocator"
    lines = [
        f"# Operators against torch.nn on {device_name('cpu')}",
        "",
        f"{date.today()}, {versions}, {os.cpu_count()} cores, {operators}, batch {BATCH}, T = {TIME}, "
        f"float32, {memory} on both sides. Milliseconds a round of forward and backward pass for all K "
        "trials: median (quartiles). Ratio: median of torch.nn one after another over "
        f"ours. Peak: share of it that torch.nn and ours reach, of {reached}. `python benchmarks/operators.py`",
        "",
        "| cell | hidden | inputs | K | threads | torch.nn ms | our ms | path | ratio | peak |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    ratios: dict[tuple[Case, int], float] = {}
    for case, threads in chosen:
        torch.set_num_threads(threads)
        theirs, ours, model = case.rounds()
        found = in_turns((theirs, ours), 0.7 if quick else 1.5, 5)
        medians = [statistics.median(times) for times in found]
        ratios[case, threads] = medians[0] / medians[1]
        shares = [f"{case.operations() / median / peaks[threads]:.0%}" for median in medians]
        cells = (case.layer, case.hidden, case.inputs, case.trials, threads, *map(milliseconds, found))
        row = (*cells, model.path, f"{ratios[case, threads]:.2f}", ", ".join(shares))
        lines.append("| " + " | ".join(map(str, row)) + " |")
        print(lines[-1], flush=True)
    summary = ["", *_bars(ratios), ""]
    print("\n".join(summary), flush=True)
    return "\n".join([*lines, *summary])


def _bars(ratios: dict[tuple[Case, int], float]) -> list[str]:
    """Return, for each cell and size, the lowest and highest ratio with each number of threads."""
    lines = ["| cell | hidden | inputs | threads | ratio over K | bar |", "|---|---|---|---|---|---|"]
    groups: dict[tuple[str, int, int, int], list[float]] = {}
    for (case, threads), ratio in ratios.items():
        groups.setdefault((case.layer, case.hidden, case.inputs, threads), []).append(ratio)
    for (layer, hidden, inputs, threads), found in groups.items():
        bar = f"{BARS[layer]} {'met' if min(found) >= BARS[layer] else 'missed'}" if hidden <= 128 else "1"
        spread = f"{min(found):.2f}–{max(found):.2f}"
        lines.append(f"| {layer} | {hidden} | {inputs} | {threads} | {spread} | {bar} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    quick = parser.parse_args().quick
    page = measure(quick)
    if not quick:
        slug = re.sub(r"[^a-z0-9]+", "-", device_name("cpu").lower()).strip("-")
        with replacing(Path(__file__).parent / "results" / f"operators-{slug}.md") as file:
            file.write(page)


if __name__ == "__main__":
    main()
