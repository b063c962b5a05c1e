"""Trials per hour of one sweep: a process a trial, one after another in a process, and packed by lit-seq.

    python benchmarks/sweep_throughput.py [--quick | --full] [--device cpu|cuda]

The sweep is the adding problem (batch 64, Adam, no validation, W&B offline, each side's default logging
interval: 50 steps with plain Lightning, 10 with lit-seq) over learning rate, clipping threshold and seed;
IRNN is Elman with ReLU, started from the identity. It is run by

    (a) processes as `wandb agent` starts them, as many at once as there are cores, each a plain Lightning
        fit with torch.nn (plain_lightning.py); the agent's polling, up to 5 s a trial, is left out;
    (b) the same fits one after another in one process with all cores;
    (c) `lit-seq sweep` as it is by default, from the command to the end of its report.

What is linear is measured in part. Trials of (a) and (b) know nothing of each other, so a few stand for all;
with 2,000 steps they are the runs of 300 and 1,700 more steps at the pace of steps 20 to 300. (c) is measured
whole, in turns with (a) (a c a c …), with 2,000 steps from fewer trials where the table says so, its start
then weighing more than it would. Ratios are of trials per hour: the median of all pairs of turns, and in
brackets the lowest and the highest.

Memory is the largest sum of the proportional set sizes of a side's processes. The share of the arithmetic
peak counts the recurrence's products only, 2 flops a multiply-add: W x and U h forward, the gradients of h, U
and W backward; the peak is that of a product of two matrices of 2048 × 2048 in float32 by all cores.
"Others" is what other programs took of the machine meanwhile.

On a GPU, K trials: (a) K processes at once, (b) torch.nn's cuDNN in turn, (c) one pack of K; and how many
kernels a training step launches, by torch.profiler.
"""

import argparse
import itertools
import platform
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import torch
from cells import device_name
from process_tree import CORES
from sweep_sides import CELLS, Case, Turn, in_turn, launches, packed, processes

from lit_seq.run_folder import replacing

SHORT, LONG = 300, 2000
BARS = {SHORT: {"LSTM": 5, "GRU": 6, "IRNN": 12}, LONG: {"LSTM": 3, "GRU": 4, "IRNN": 8}}
ANYWHERE = 1.5
PACKS = (1, 4, 16, 64, 128)


@dataclass(frozen=True)
class Plan:
    """How thoroughly a case is measured.

    Attributes:
        case: what is trained.
        trials: trials of (c), with 300 steps.
        sample: trials of (a).
        turns: of (a) and (c).
        in_turn: whether (b) is measured.
        long: trials of (c) with 2,000 steps; 0 leaves them out.
    """

    case: Case
    trials: int
    sample: int
    turns: int = 1
    in_turn: bool = False
    long: int = 0


def plans(size: str) -> list[Plan]:
    """Return what is measured, what there are bars for first."""
    if size == "quick":
        return [Plan(Case(cell, 64, 100), 16, 2) for cell in CELLS]
    if size == "full":
        corners = itertools.product((64, 128), (100, 400), CELLS)
        return [Plan(Case(cell, hidden, length), 64, 4, 2, True, 64) for hidden, length, cell in corners]
    main = [Plan(Case(cell, 64, 100), 64, 4, 2, True, 32) for cell in CELLS]
    sizes = ((128, 100), (64, 400))
    return main + [Plan(Case(cell, *size), 16, 2) for size, cell in itertools.product(sizes, CELLS)]


HEADER = [
    "| cell | hidden | T | steps | trials of c | a / h | b / h | c / h | c/a | bar | c/b | MiB a, b, c | "
    "of peak a, b, c | others |",
    "|" + "---|" * 14,
]


def measured(plan: Plan, peak: float) -> Iterator[Callable[[], str]]:
    """Yield the plan's rows in Markdown, to be measured one by one."""
    a: list[Turn] = []
    b: list[Turn] = []

    def short() -> str:
        c = []
        for _ in range(plan.turns):
            a.append(processes(plan.case, plan.sample, CORES, SHORT))
            c.append(packed(plan.case, plan.trials, SHORT))
        if plan.in_turn:
            b.append(in_turn(plan.case, 2, 64, SHORT))
        return row(plan.case, SHORT, (a, b, c), peak)

    yield short
    if plan.long:
        yield lambda: row(plan.case, LONG, (a, b, [packed(plan.case, plan.long, LONG)]), peak)


def row(case: Case, steps: int, sides: tuple[list[Turn], list[Turn], list[Turn]], peak: float) -> str:
    """Return a row of the table; `peak` is in flops a second."""
    a, b, c = rates = [[turn.per_hour(steps) for turn in turns] for turns in sides]
    main = (case.hidden, case.length) == (64, 100)
    cells = [
        *(case.cell, case.hidden, case.length, steps, sides[2][0].trials),
        *(f"{statistics.median(rate):.0f}" if rate else "" for rate in rates),
        ratio(c, a),
        BARS[steps][case.cell] if main else ANYWHERE,
        ratio(c, b),
        joined(f"{max(turn.memory for turn in turns):.0f}" for turns in sides if turns),
        joined(f"{case.flops() * steps * statistics.median(r) / 3600 / peak:.0%}" for r in rates if r),
        f"{statistics.mean(turn.others for turns in sides for turn in turns):.0%}",
    ]
    return "| " + " | ".join(map(str, cells)) + " |"


def ratio(ours: list[float], theirs: list[float]) -> str:
    pairs = sorted(one / other for one in ours for other in theirs)
    if not pairs:
        return ""
    return f"{statistics.median(pairs):.2f}" + (
        f" ({pairs[0]:.2f}–{pairs[-1]:.2f})" if len(pairs) > 1 else ""
    )


def joined(texts: Iterator[str]) -> str:
    return ", ".join(texts)


def arithmetic_peak() -> float:
    """Return the flops a second of a large product by all cores."""
    torch.set_num_threads(CORES)
    one, other = torch.randn(2, 2048, 2048).unbind()
    times = []
    for _ in range(10):
        start = time.perf_counter()
        torch.mm(one, other)
        times.append(time.perf_counter() - start)
    return 2 * 2048**3 / min(times)


def on_cpu(size: str) -> Iterator[str]:
    """Yield the results' lines as they come."""
    peak = arithmetic_peak()
    yield f"{CORES} cores, arithmetic peak {peak / 1e9:.0f} Gflop/s.\n\n" + "\n".join(HEADER)
    each = [list(measured(plan, peak)) for plan in plans(size)]
    # Short rows of all cells first: what is interrupted has something to say about each.
    for which in range(2):
        yield from (rows[which]() for rows in each if which < len(rows))


def on_gpu(size: str) -> Iterator[str]:
    """Yield the results' lines as they come."""
    yield (
        "| cell | hidden | T | steps | K | a / h | b / h | c / h | c/a | c/b | MiB a, b, c | launches a step "
        "(plain, pack) |\n|" + "---|" * 12
    )
    corners = (
        itertools.product(CELLS, (128,), (100,))
        if size == "quick"
        else itertools.product(CELLS, (64, 128), (100, 400))
    )
    for case in itertools.starmap(Case, corners):
        b = in_turn(case, 2, 64, SHORT)
        for size_of_pack in PACKS:
            a = processes(case, size_of_pack, size_of_pack, SHORT)
            c = packed(case, size_of_pack, SHORT, "--pack", str(size_of_pack))
            rates = [turn.per_hour(SHORT) for turn in (a, b, c)]
            cells = [
                *(case.cell, case.hidden, case.length, SHORT, size_of_pack),
                *(f"{rate:.0f}" for rate in rates),
                *(f"{rates[2] / rate:.2f}" for rate in rates[:2]),
                joined(f"{turn.memory:.0f}" for turn in (a, b, c)),
                joined(f"{count:.0f}" for count in launches(case, size_of_pack)),
            ]
            yield "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    size.add_argument("--full", action="store_true", help="the whole table with 64 trials: hours")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the GPU where there is one")
    arguments = parser.parse_args()
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    chosen = "quick" if arguments.quick else "full" if arguments.full else "default"
    name = device_name(device)
    versions = ", ".join(
        f"{package} {metadata.version(package)}" for package in ("torch", "lightning", "wandb")
    )
    words = " ".join(["python", "benchmarks/sweep_throughput.py", *sys.argv[1:]])
    lines = [
        f"# Trials per hour on {name}",
        f"\n{date.today()}, Python {platform.python_version()}, {versions}. `{words}`, whose docstring says "
        "what is measured and how.\n",
    ]
    print("\n".join(lines), flush=True)
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    for line in (on_gpu if device == "cuda" else on_cpu)(chosen):
        print(line, flush=True)
        lines.append(line)
        if chosen != "quick":
            with replacing(Path(__file__).parent / "results" / f"sweep-throughput-{slug}.md") as file:
                file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
