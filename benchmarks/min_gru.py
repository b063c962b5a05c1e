"""minGRU's scan, parallel over time, against the loop over its steps.

    python benchmarks/min_gru.py [--device cpu|cuda]

A step is the forward and the backward pass over 400 time steps in float32, less the projection of the
inputs, which both share. The sides take turns; times are medians, on a CPU of one thread's processor time.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date
from typing import Any

import torch
from page import device_name, write
from torch import Tensor

from lit_seq.allocator import keep_freed_memory
from lit_seq.cells import HiddenState, MinGRU
from lit_seq.scan import min_gru, reference

TIME, ROUNDS = 400, 15
SIZES = ((1, 16), (1, 128), (8, 64), (16, 64), (64, 64), (64, 128))
"""Sequences and hidden units."""


class Projected(MinGRU):
    """A minGRU whose inputs are projected already."""

    def project(self, inputs: Tensor) -> Tensor:
        """Return the inputs."""
        return inputs


def milliseconds(run: Callable[..., Any], cell: MinGRU, inputs: Tensor, weights: Tensor) -> float:
    on_gpu = inputs.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    wait = torch.cuda.synchronize if on_gpu else (lambda: None)
    wait()
    start = clock()
    run(cell, inputs, HiddenState(torch.zeros_like(weights[0])), None)[0].backward(weights)
    wait()
    return 1000 * (clock() - start)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    device = parser.parse_args().device
    keep_freed_memory()
    torch.set_num_threads(1)
    lines = [
        f"# minGRU's parallel scan on {device_name(device)}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, T = {TIME}, "
        f"float32. Milliseconds forward and backward: medians of {ROUNDS}. `python benchmarks/min_gru.py`",
        "",
        "| batch | hidden | loop ms | scan ms | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for batch, hidden in SIZES:
        cell = Projected(1, hidden).to(device)
        inputs = torch.randn(TIME, batch, 2 * hidden, device=device, requires_grad=True)
        weights = torch.randn(TIME, batch, hidden, device=device)
        rounds = [
            [milliseconds(run, cell, inputs, weights) for run in (reference.run, min_gru.run)]
            for _ in range(ROUNDS)
        ]
        loop, ours = map(statistics.median, zip(*rounds[2:], strict=True))
        lines.append(f"| {batch} | {hidden} | {loop:.2f} | {ours:.2f} | {loop / ours:.1f} |")
        print(lines[-1], flush=True)
    write("min-gru", device, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
