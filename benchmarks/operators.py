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
512 × 512 matrices reaches with one thread, times the threads. Gates and memory are not counted, so that 100 %
is out of reach.

"Others" is the share of the cores that other processes took during a row. Threads of `torch.nn` that wait for
one another spin, and beside a busy process they lose far more than that share. So a row with others over 2 %
is measured again, at most three times, the one with the least of them is kept, whatever its ratio, and only
rows under 2 % count for the bars.
"""

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import torch
from cells import LAYERS, milliseconds
from page import device_name, write
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.allocator import keep_freed_memory
from lit_seq.scan import implementation, native, scan

TIME, BATCH = 100, 64
QUIET = 0.02
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


def in_turns(
    functions: tuple[Callable[[], None], ...],
    budget: float,
    least: int,
    timed: Callable[[Callable[[], None]], float] = seconds,
) -> list[list[float]]:
    for function in functions * 2:
        function()
    found: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + budget
    while len(found[0]) < least or time.perf_counter() < end:
        for times, function in zip(found, functions, strict=True):
            times.append(timed(function))
    return found


def watched(functions: tuple[Callable[[], None], ...], budget: float) -> tuple[list[list[float]], float]:
    """Return the times of functions in turns, and the share of the cores that other processes took."""
    start, (all_before, own_before) = time.perf_counter(), processor_seconds()
    found = in_turns(functions, budget, 5)
    all_after, own_after = processor_seconds()
    available = (time.perf_counter() - start) * (os.cpu_count() or 1)
    return found, max(0.0, all_after - all_before - (own_after - own_before)) / available


def processor_seconds() -> tuple[float, float]:
    """Return what all processes have used of the cores, and what this one has."""
    user, nice, system, _, _, *interrupts = map(
        int, Path("/proc/stat").read_text().split("\n")[0].split()[1:8]
    )
    own = os.times()
    return (user + nice + system + sum(interrupts)) / os.sysconf("SC_CLK_TCK"), own.user + own.system


def peak() -> float:
    """Return operations a second of a matrix product with one thread, the best of many."""
    torch.set_num_threads(1)
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
    reached = peak()
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    operators = native.unavailable() or f"native operators with {native.instructions()}"
    memory = "freed memory kept" if kept else "the default allocator"
    lines = [
        f"# Operators against torch.nn on {device_name('cpu')}",
        "",
        f"{date.today()}, {versions}, {os.cpu_count()} cores, {operators}, batch {BATCH}, T = {TIME}, "
        f"float32, {memory} on both sides. Milliseconds a round of forward and backward pass for all K "
        "trials: median (quartiles). Ratio: median of torch.nn one after another over ours. "
        f"Peak: share of it that torch.nn and ours reach, of {reached / 1e9:.0f} GFLOP/s a thread. "
        "`python benchmarks/operators.py`",
        "",
        "| cell | hidden | inputs | K | threads | torch.nn ms | our ms | path | ratio | peak | others |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    ratios: dict[tuple[Case, int], float] = {}
    for case, threads in chosen:
        torch.set_num_threads(threads)
        theirs, ours, model = case.rounds()
        attempts = [watched((theirs, ours), 0.7 if quick else 1.2)]
        while attempts[-1][1] >= QUIET and len(attempts) < (1 if quick else 3):
            time.sleep(5)
            attempts.append(watched((theirs, ours), 1.2))
        found, others = min(attempts, key=lambda attempt: attempt[1])
        medians = [statistics.median(times) for times in found]
        ratio = medians[0] / medians[1]
        if others < QUIET:
            ratios[case, threads] = ratio
        shares = [f"{case.operations() / median / (reached * threads):.0%}" for median in medians]
        cells = (case.layer, case.hidden, case.inputs, case.trials, threads, *map(milliseconds, found))
        row = (*cells, model.path, f"{ratio:.2f}", ", ".join(shares), f"{others:.0%}")
        lines.append("| " + " | ".join(map(str, row)) + " |")
        print(lines[-1], flush=True)
    summary = ["", *_bars(ratios), ""]
    print("\n".join(summary), flush=True)
    return "\n".join([*lines, *summary])


def _bars(ratios: dict[tuple[Case, int], float]) -> list[str]:
    """Return, for each cell and size, the lowest and highest ratio with each number of threads."""
    lines = [
        "| cell | hidden | inputs | threads | quiet rows | ratio over K | bar |",
        "|---|---|---|---|---|---|---|",
    ]
    groups: dict[tuple[str, int, int, int], list[float]] = {}
    for (case, threads), ratio in ratios.items():
        groups.setdefault((case.layer, case.hidden, case.inputs, threads), []).append(ratio)
    for (layer, hidden, inputs, threads), found in groups.items():
        bar = f"{BARS[layer]} {'met' if min(found) >= BARS[layer] else 'missed'}" if hidden <= 128 else "1"
        spread = f"{min(found):.2f}–{max(found):.2f}"
        lines.append(f"| {layer} | {hidden} | {inputs} | {threads} | {len(found)} | {spread} | {bar} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    quick = parser.parse_args().quick
    page = measure(quick)
    if not quick:
        write("operators", "cpu", page)


if __name__ == "__main__":
    main()
