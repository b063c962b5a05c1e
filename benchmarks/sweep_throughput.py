"""Trials per hour of one sweep: a process a trial, one after another in a process, and packed by lit-seq.

    python benchmarks/sweep_throughput.py [--quick | --full] [--device cpu|cuda]

The sweep is the adding problem (batch 64, Adam, no validation, W&B offline, each side's default logging
interval: 50 steps with plain Lightning, 10 with lit-seq) over learning rate, clipping threshold and seed;
IRNN is Elman with ReLU, started from the identity. It is run by

    (a) processes as `wandb agent` starts them, as many at once as there are cores, each a plain Lightning
        fit with torch.nn (plain_lightning.py); the agent's polling, up to 5 s a trial, is left out;
    (b) the same fits one after another in one process with all cores;
    (c) `lit-seq sweep --workers CORES`, from the command to the end of its report.

What is linear is measured in part. Trials of (a) and (b) know nothing of each other, so a few stand for all.
Rows "by pace" are the runs of 300 steps and 1,700 more steps at the pace of their training: for (a) and (b)
that of steps 20 to 300, for (c) that of its packs from the first step to the last checkpoint. Rows without
these words are (c) measured whole with the trials that they name, in turns with (a) (a c a c …); (a) and (b)
with 2,000 steps are always by pace. Ratios are of trials per hour: the median of all pairs of turns, and in
brackets the lowest and the highest.

Core seconds are what a trial takes of the processors, start and end of the processes in it (of (b) without
them): they hardly depend on what else runs. "Others" is what other programs took of the machine meanwhile.
Memory is the largest sum of the proportional set sizes of a side's processes. The share of the arithmetic
peak counts the recurrence's products only, 2 flops a multiply-add: W x and U h forward, the gradients of h, U
and W backward; the peak is a core's in a product of two matrices of 2048 × 2048 in float32, times cores.

On a GPU, K trials: (a) K processes at once, (b) torch.nn's cuDNN in turn, (c) one pack of K; and how many
kernels a training step launches, by torch.profiler.
"""

import argparse
import itertools
import platform
import statistics
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date
from importlib import metadata

import torch
from page import device_name, write
from process_tree import CORES
from sweep_sides import CELLS, Case, Turn, in_turn, launches, packed, processes

SHORT, LONG = 300, 2000
BARS = {SHORT: {"LSTM": 5, "GRU": 6, "IRNN": 12}, LONG: {"LSTM": 3, "GRU": 4, "IRNN": 8}}
ANYWHERE = 1.5
PACKS = (1, 4, 16, 64, 128)


@dataclass(frozen=True)
class Plan:
    """How thoroughly a case is measured.

    Attributes:
        case: what is trained.
        trials: trials of (c).
        sample: trials of (a).
        turns: of (a) and (c).
        in_turn: whether (b) is measured.
        long: trials of (c) that are measured with 2,000 steps as well.
        steps: of all that is measured besides.
    """

    case: Case
    trials: int
    sample: int
    turns: int = 1
    in_turn: bool = False
    long: int = 0
    steps: int = SHORT


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


Sides = tuple[list[Turn], list[Turn], list[Turn]]
"""Turns of (a), (b) and (c)."""


def measured(plan: Plan) -> Sides:
    """Measure all sides with the plan's steps."""
    a, b, c = [], [], []
    for _ in range(plan.turns):
        a.append(processes(plan.case, plan.sample, CORES, plan.steps))
        c.append(packed(plan.case, plan.trials, plan.steps, CORES))
    if plan.in_turn:
        b.append(in_turn(plan.case, 2, 64, plan.steps))
    return a, b, c


HEADER = (
    "| cell | hidden | T | steps | trials of c | a / h | b / h | c / h | c/a | bar | c/b | "
    "core s a trial a, b, c | MiB a, b, c | of peak a, b, c | others |\n|" + "---|" * 15
)


def row(case: Case, steps: int, sides: Sides, peak: float) -> str:
    """Return a row of the table; `peak` is in flops a second."""
    a, b, c = rates = [[turn.per_hour(steps) for turn in turns] for turns in sides]
    main = (case.hidden, case.length) == (64, 100)
    of_c = sides[2][0]
    cells = [
        *(case.cell, case.hidden, case.length, steps),
        f"{of_c.trials}{'' if of_c.steps == steps else ', by pace'}",
        *(f"{statistics.median(rate):.0f}" if rate else "" for rate in rates),
        ratio(c, a),
        BARS.get(steps, {}).get(case.cell, "") if main else ANYWHERE,
        ratio(c, b),
        joined(f"{statistics.median(one.processor for one in turns):.1f}" for turns in sides if turns)
        if of_c.steps == sides[0][0].steps == steps
        else "",
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
    """Return the flops a second of all cores: a core's in a large product, by processor time, times cores."""
    torch.set_num_threads(1)
    one, other = torch.randn(2, 2048, 2048).unbind()
    times = []
    for _ in range(10):
        start = time.thread_time()
        torch.mm(one, other)
        times.append(time.thread_time() - start)
    return CORES * 2 * 2048**3 / min(times)


def on_cpu(plans: list[Plan]) -> Iterator[str]:
    """Yield the results' lines as they come."""
    peak = arithmetic_peak()
    yield f"{CORES} cores, arithmetic peak {peak / 1e9:.0f} Gflop/s.\n\n{HEADER}"
    sides = {}
    for plan in plans:
        sides[plan] = measured(plan)
        yield from (row(plan.case, steps, sides[plan], peak) for steps in (plan.steps, LONG))
    for plan in plans:
        if plan.long:
            a, b, _ = sides[plan]
            yield row(plan.case, LONG, (a, b, [packed(plan.case, plan.long, LONG, CORES)]), peak)


def on_gpu(plans: list[Plan]) -> Iterator[str]:
    """Yield the results' lines as they come."""
    yield (
        "| cell | hidden | T | steps | K | a / h | b / h | c / h | c/a | c/b | MiB a, b, c | launches a step "
        "(plain, pack) |\n|" + "---|" * 12
    )
    for case, steps in ((plan.case, plan.steps) for plan in plans):
        b = in_turn(case, 2, 64, steps)
        for trials in PACKS:
            a, c = processes(case, trials, trials, steps), packed(case, trials, steps, 1, str(trials))
            rates = [turn.per_hour(steps) for turn in (a, b, c)]
            cells = [
                *(case.cell, case.hidden, case.length, steps, trials),
                *(f"{rate:.0f}" for rate in rates),
                *(f"{rates[2] / rate:.2f}" for rate in rates[:2]),
                joined(f"{turn.memory:.0f}" for turn in (a, b, c)),
                joined(f"{count:.0f}" for count in launches(case, trials)),
            ]
            yield "| " + " | ".join(map(str, cells)) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    sizes.add_argument("--full", action="store_true", help="the whole table with 64 trials: hours")
    parser.add_argument("--trials", type=int, help="of (c), a multiple of 16")
    parser.add_argument("--steps", type=int, help=f"that are measured, instead of {SHORT}")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="default: the GPU where there is one")
    arguments = parser.parse_args()
    device = arguments.device or ("cuda" if torch.cuda.is_available() else "cpu")
    given = {name: value for name in ("trials", "steps") if (value := getattr(arguments, name))}
    size = "quick" if arguments.quick else "full" if arguments.full else "default"
    chosen = [replace(plan, **given) for plan in plans(size)]
    versions = ", ".join(
        f"{package} {metadata.version(package)}" for package in ("torch", "lightning", "wandb")
    )
    words = " ".join(["python", "benchmarks/sweep_throughput.py", *sys.argv[1:]])
    lines = [
        f"# Trials per hour on {device_name(device)}",
        f"\n{date.today()}, Python {platform.python_version()}, {versions}. `{words}`, whose docstring says "
        "what is measured and how.\n",
    ]
    print("\n".join(lines), flush=True)
    for line in (on_gpu if device == "cuda" else on_cpu)(chosen):
        print(line, flush=True)
        lines.append(line)
        if not arguments.quick:
            write("sweep-throughput", device, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
