"""What a look of each diagnostic costs, beside a training step of the same model.

    python benchmarks/diagnostics.py [--quick]

A model of the adding problem (batch 64, one layer, one thread) with random weights is looked into with the
default options, 8 sequences or 4, and trained by Adam; the time is that of the processor, the median of
several. ClippedSteps is the norm that it adds to every step. What a look adds to training is its column
divided by `every`.
"""

import argparse
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import date
from functools import partial
from importlib import metadata

import torch
from page import device_name, write

from lit_seq.allocator import keep_freed_memory
from lit_seq.cells import LSTM, Elman
from lit_seq.cores import Stack
from lit_seq.data import AddingProblem
from lit_seq.diagnostics import ClippedSteps, GateSaturation, GradientFlow, Spectra, StateJacobians
from lit_seq.topologies import ManyToOne

LOOKS = (GradientFlow, StateJacobians, Spectra, GateSaturation)


def milliseconds(work: Callable[[], object], turns: int) -> float:
    times = []
    for _ in range(turns):
        start = time.process_time()
        work()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


def row(cell: type, hidden: int, length: int) -> str:
    """Measure one model and return its row of the table."""
    torch.manual_seed(0)
    data = AddingProblem(length=length, batch_size=64)
    batch = next(iter(data.train_dataloader()))
    model = ManyToOne(data.task, partial(Stack, cell=cell, hidden_size=hidden))
    optimiser = torch.optim.Adam(model.parameters())

    def step() -> None:
        optimiser.zero_grad()
        model.measure(batch).means["loss"].backward()
        optimiser.step()

    trained = milliseconds(step, 12)
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    cells = [f"{cell.__name__} {hidden}", str(length), f"{trained:.1f}"]
    clipping = ClippedSteps()
    model.eval()
    for look in [kind() for kind in LOOKS]:
        taken = milliseconds(lambda look=look: look.find(model, [batch]), 3)  # type: ignore[misc]
        cells.append(f"{taken:.0f} ({taken / trained:.1f})")
    taken = milliseconds(lambda: clipping.count(gradients, 1.0, "norm"), 50)
    cells.append(f"{taken:.2f} ({taken / trained:.3f})")
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="a part of the table, nothing written")
    quick = parser.parse_args().quick
    keep_freed_memory()
    torch.set_num_threads(1)
    names = [kind.__name__ for kind in (*LOOKS, ClippedSteps)]
    lines = [
        f"# What a look of each diagnostic costs on {device_name('cpu')}",
        f"\n{date.today()}, Python {platform.python_version()}, torch {metadata.version('torch')}. "
        f"`python {' '.join(['benchmarks/diagnostics.py', *sys.argv[1:]])}`, whose docstring says what is "
        "measured and how. Milliseconds, and in brackets training steps of the same model.\n",
        "| cell | T | training step | " + " | ".join(names) + " |",
        "|" + "---|" * (3 + len(names)),
    ]
    print("\n".join(lines), flush=True)
    cases = [(cell, hidden, length) for cell in (Elman, LSTM) for hidden in (64, 128) for length in (50, 200)]
    for case in cases[:1] if quick else cases:
        lines.append(row(*case))
        print(lines[-1], flush=True)
    if not quick:
        write("diagnostics", "cpu", "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
