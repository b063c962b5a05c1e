"""Operators of K stacked trials on a GPU against their peers, in turns in one process.

    python benchmarks/gpu_operators.py [--write] [--cells LSTM …] [--hidden 64 128] [--trials 1 16 128]
        [--time 100] [--precision highest high medium] [--processes]

A round is the forward and the backward pass of a whole scan, batch 64, inputs of 2 features as in the adding
problem, for all trials. The sides take turns (A B C A B C …):

- cuDNN: layers of `torch.nn`, one after another.
- kernels: trials stacked under vmap, in lit-seq's Triton kernels; and again as one CUDA graph.
- operations: the same by operators in torch's operations; and again as one CUDA graph.
- loop: `torch.vmap` over the plain loop.
- flashrnn (1.0.8), if it is installed and builds: K trials as K heads, W x by a product before; in float32,
  or in bf16 where the precision is medium.
- processes, where asked for: K processes at once, each with one layer of cuDNN's, up to 16 of them; and again
  under MPS where its daemon can be started.

Times are medians with quartiles, by CUDA events. "times one" is the median over that of one trial through
cuDNN: a pack of 128 is to take at most twice as long as one. "peak" is the share of what products of
8192 × 8192 matrices reach in the same precision that the products of a round need. On a CPU (`--device cpu`)
the sides that it has are run, to see that they do.
"""

import argparse
import contextlib
import platform
import statistics
import sys
from collections.abc import Iterator
from datetime import date
from functools import partial
from importlib import metadata
from itertools import product

import torch
from cells import LAYERS, milliseconds
from gpu_processes import at_once, mps
from gpu_sides import BATCH, Case, Side, in_turn, sides
from operators import in_turns, seconds
from page import device_name, write

LEAST, BUDGET = 5, 0.5


def took(side: Side, device: str) -> float:
    """Return the seconds of a round, on a GPU by its own clock."""
    if device == "cpu":
        return seconds(side)
    before, behind = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before.record()
    side()
    behind.record()
    behind.synchronize()
    return before.elapsed_time(behind) / 1000


def peak(precision: str, device: str) -> float:
    """Return operations a second of a large product in a precision."""
    size = 8192 if device == "cuda" else 512
    dtype = torch.bfloat16 if precision == "medium" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(took(lambda: torch.mm(a, b), device) for _ in range(10))


def measured(case: Case, processes: bool) -> Iterator[list[str]]:
    """Yield a row for each side."""
    torch.set_float32_matmul_precision(case.precision)
    torch.manual_seed(0)
    found = dict(sides(case))
    there = {name: side for name, side in found.items() if not isinstance(side, str)}
    functions = (*there.values(), in_turn(case._replace(trials=1)))
    turns = in_turns(functions, BUDGET * len(functions), LEAST, partial(took, device=case.device))
    times, one = dict(zip(there, turns, strict=False)), statistics.median(turns[-1])
    head = [case.layer, str(case.hidden), str(case.trials), str(case.time), case.precision]
    reached = peak(case.precision, case.device)
    for name, side in found.items():
        if isinstance(side, str):
            yield [*head, name, side, "", "", ""]
            continue
        middle = statistics.median(times[name])
        yield [
            *head,
            name,
            milliseconds(times[name]),
            f"{case.trials / middle:.0f}",
            f"{middle / one:.2f}",
            f"{case.operations() / middle / reached:.1%}",
        ]
    if processes and case.device == "cuda" and 1 < case.trials <= 16:
        with mps() as service:
            for name, environment in (("processes", {}), ("processes, MPS", service)):
                if environment is not None:
                    taken = at_once(case, environment)
                    rate = f"{case.trials / taken:.0f}"
                    yield [*head, name, f"{1000 * taken:.2f}", rate, f"{taken / one:.2f}", ""]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", choices=[*LAYERS], default=["LSTM", "GRU", "Elman tanh"])
    parser.add_argument("--hidden", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--trials", nargs="+", type=int, default=[1, 16, 128])
    parser.add_argument("--time", nargs="+", type=int, default=[100])
    precisions = ["highest", "high", "medium"]
    parser.add_argument("--precision", nargs="+", choices=precisions, default=["highest", "medium"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--processes", action="store_true", help="K processes at once, too")
    parser.add_argument("--write", action="store_true", help="write benchmarks/results/")
    options = parser.parse_args()
    axes = (options.cells, options.hidden, options.trials, options.time, options.precision, [options.device])
    packages = ", ".join(
        f"{name} {metadata.version(name)}" for name in ("torch", "triton", "flashrnn") if _there(name)
    )
    lines = [
        f"# Operators of stacked trials on {device_name(options.device)}",
        "",
        f"{date.today()}, Python {platform.python_version()}, {packages}, batch {BATCH}. "
        f"`python {' '.join(['benchmarks/gpu_operators.py', *sys.argv[1:]])}`, whose docstring says what is "
        "measured and how. Milliseconds a round: median (quartiles).",
        "",
        "| cell | hidden | K | T | precision | side | ms | rounds of a trial a second | times one | peak |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for values in product(*axes):
        for row in measured(Case(*values), options.processes):
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
        if options.write:
            # What was measured stays where the time is up.
            write("gpu-operators", options.device, "\n".join(lines) + "\n")


def _there(package: str) -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version(package))
    return False


if __name__ == "__main__":
    main()
