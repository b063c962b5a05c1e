"""Training step of each cell against its twin in `torch.nn`, or else against the loop, side by side.

    python benchmarks/cells.py [--quick] [--device cpu|cuda]

A step is the forward and the backward pass of one layer whose inputs need a gradient, batch 64, as many
input features as hidden units, float32; on the CPU with one thread. The two take turns (A B A B …), so that
what else the machine does hits both. Times are medians with quartiles, the ratio is torch.nn's median over
ours: above 1, ours is the faster.

Memory is the peak during steps above what was held before them: on a GPU
`torch.cuda.max_memory_allocated`, on the CPU the resident set's high-water mark (VmHWM, reset before)
in a fresh process for each layer.

Cells without a twin, and forms of those with one, take turns with the loop over `Cell.step` instead, which is
what they would run by without an operator; `benchmarks/loop.py` compares that loop with a plain one.
"""

import argparse
import itertools
import multiprocessing
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
from page import device_name, write
from torch import Tensor, nn
from torch.nn.utils import parametrize

from lit_seq.cells import GRU, LSTM, Cell, Elman
from lit_seq.scan import implementation, reference, scan
from lit_seq.scan.overview import every_cell

BATCH = 64
LAYERS: dict[str, tuple[Callable[[int, int], Any], Callable[[int, int], Any]]] = {
    "LSTM": (nn.LSTM, LSTM),
    "GRU": (nn.GRU, GRU),
    "Elman tanh": (nn.RNN, Elman),
    "Elman ReLU": (lambda i, h: nn.RNN(i, h, nonlinearity="relu"), lambda i, h: Elman(i, h, "relu")),
}
SIDES = ("torch.nn", "lit-seq")


@dataclass(frozen=True)
class Case:
    """A layer, and what it is run on."""

    layer: str
    hidden: int
    time: int
    device: str

    def step(self, side: str) -> tuple[Callable[[], None], str]:
        """Return a function that does one training step, and which implementation does it."""
        torch.manual_seed(0)
        module = LAYERS[self.layer][SIDES.index(side)](self.hidden, self.hidden).to(self.device)
        inputs = torch.randn(self.time, BATCH, self.hidden, device=self.device, requires_grad=True)
        gradient = torch.randn(self.time, BATCH, self.hidden, device=self.device)
        run: Callable[[Tensor], Any] = module if side == "torch.nn" else lambda x: scan(module, x)

        def step() -> None:
            module.zero_grad()
            inputs.grad = None
            run(inputs)[0].backward(gradient)

        return step, "" if side == "torch.nn" else implementation(module, inputs).name


def against_the_loop(
    build: Callable[[int, int], Cell[Any]], hidden: int, time: int, device: str
) -> list[Any]:
    """Return functions that do one training step by the loop and as chosen, and the choice's name."""
    torch.manual_seed(0)
    cell = build(hidden, hidden).to(device)
    inputs = torch.randn(time, BATCH, hidden, device=device, requires_grad=True)
    state = cell.initial_state(BATCH)
    gradient = torch.randn(time, *cell.output(state).shape, device=device)

    def loop() -> None:
        with parametrize.cached():
            outputs, _ = reference.run(cell, inputs, state, None)
        outputs.backward(gradient)

    def chosen() -> None:
        scan(cell, inputs)[0].backward(gradient)

    return [loop, chosen, implementation(cell, inputs).name]


def seconds(step: Callable[[], None], device: str) -> float:
    if device == "cuda":
        torch.cuda.synchronize()
    start = time.perf_counter()
    step()
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def times(case: Case, budget: float, least: int) -> tuple[list[list[float]], str]:
    """Return each side's times, measured in turns for about `budget` seconds, and our implementation."""
    (theirs, _), (ours, name) = (case.step(side) for side in SIDES)
    return in_turns([theirs, ours], case.device, budget, least), name


def in_turns(steps: list[Callable[[], None]], device: str, budget: float, least: int) -> list[list[float]]:
    for step in 2 * steps:
        seconds(step, device)
    found: list[list[float]] = [[] for _ in steps]
    end = time.perf_counter() + budget
    while len(found[0]) < least or time.perf_counter() < end:
        for side, step in zip(found, steps, strict=True):
            side.append(seconds(step, device))
    return found


def memory(case: Case, side: str) -> float:
    """Return the peak of three steps in MiB above what was held before them."""
    if case.device == "cuda":
        step, _ = case.step(side)
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        for _ in range(3):
            step()
        return (torch.cuda.max_memory_allocated() - before) / 2**20
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_resident_peak, (case, side))


def _resident_peak(case: Case, side: str) -> float:
    torch.set_num_threads(1)
    step, _ = case.step(side)
    # The libraries' own start-up is no part of a step.
    Case(case.layer, 8, 2, "cpu").step(side)[0]()
    before = _status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    for _ in range(3):
        step()
    return (_status("VmHWM") - before) / 1024


def _status(key: str) -> int:
    """Return a field of /proc/self/status in KiB."""
    return int(re.search(rf"{key}:\s+(\d+)", Path("/proc/self/status").read_text())[1])  # type: ignore[index]


def milliseconds(values: list[float]) -> str:
    low, middle, high = (1000 * q for q in statistics.quantiles(values, n=4))
    return f"{middle:.2f} ({low:.2f}–{high:.2f})"


def measure(device: str, quick: bool) -> str:
    """Return the results as a page of Markdown."""
    hidden, lengths = ((64, 128), (100,)) if quick else ((64, 128, 512), (100, 400))
    budget, least = (2.0, 15) if quick else (4.0, 11)
    versions = f"Python {platform.python_version()}, torch {torch.__version__}"
    if device == "cuda":
        versions += f", CUDA {torch.version.cuda}, cuDNN {torch.backends.cudnn.version()}"
    header = [
        f"# Cells against torch.nn on {device_name(device)}",
        "",
        f"{date.today()}, {versions}, {'1 thread' if device == 'cpu' else 'GPU'}, batch {BATCH}, float32. "
        "Milliseconds a training step: median (quartiles). Ratio: median of torch.nn over ours, above 1 "
        "where ours is faster. MiB above what is held between steps. `python benchmarks/cells.py`",
        "",
        "| cell | hidden | T | torch.nn ms | our ms | path | ratio | nn MiB | our MiB | ratio |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(header), flush=True)
    rows, ratios, memories = [], [], []
    for layer, size, length in itertools.product(LAYERS, hidden, lengths):
        case = Case(layer, size, length, device)
        (theirs, ours), path = times(case, budget, least)
        ratios.append(statistics.median(theirs) / statistics.median(ours))
        held = [memory(case, side) for side in SIDES]
        memories.append(held[1] / held[0])
        cells = (layer, size, length, milliseconds(theirs), milliseconds(ours), path, f"{ratios[-1]:.2f}")
        rows.append(
            "| " + " | ".join(map(str, cells)) + f" | {held[0]:.1f} | {held[1]:.1f} | {memories[-1]:.2f} |"
        )
        print(rows[-1], flush=True)
    footer = [
        "",
        f"Lowest ratio {min(ratios):.2f} (bar 0.95); highest memory ratio {max(memories):.2f} (bar 1.5).",
    ]
    print("\n".join(footer), flush=True)
    return "\n".join([*header, *rows, *footer, *measure_all(device, quick), ""])


def measure_all(device: str, quick: bool) -> list[str]:
    """Return a table of all cells against the loop."""
    hidden, length = 128, 100
    budget, least = (0.5, 3) if quick else (4.0, 11)
    rows = [
        "",
        f"## All cells against the loop, hidden {hidden}, T = {length}",
        "",
        "Ratio: median of the loop over ours; where the path is the loop, its own time.",
        "",
        "| cell | path | loop ms | our ms | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(rows), flush=True)
    for name, build in every_cell().items():
        *steps, path = against_the_loop(build, hidden, length, device)
        found = in_turns(steps, device, budget, least)
        loop, ours = (statistics.median(side) for side in found)
        cells = (name, path, *map(milliseconds, found), f"{loop / ours:.2f}")
        if path == "loop":
            cells = (name, path, milliseconds(found[0] + found[1]), "", "")
        rows.append("| " + " | ".join(cells) + " |")
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: both where there is a GPU")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    default = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
    for device in [arguments.device] if arguments.device else default:
        page = measure(device, arguments.quick)
        if not arguments.quick:
            write("cells", device, page)


if __name__ == "__main__":
    main()
