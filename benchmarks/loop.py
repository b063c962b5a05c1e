"""The loop that scans a cell without an operator, against the plainest loop that one writes by hand.

    python benchmarks/loop.py

A step is the forward and the backward pass over 100 time steps in float32 on one thread of the CPU, all
sequences of one length, and then of many, where both keep the state through the padding. The two take turns.
Times are medians, the ratio is ours over the plain loop's: below 1, ours is the faster. The bar is 1.3.
"""

import itertools
import platform
import statistics
from collections.abc import Callable
from datetime import date

import torch
from cells import in_turns
from page import device_name, write
from torch import Tensor
from torch.nn import functional as F

from lit_seq.allocator import keep_freed_memory
from lit_seq.cells import GRU, LSTM, Elman
from lit_seq.scan import Choice, interface, reference, scan

TIME, ROUNDS = 100, 22
SIZES = ((16, 16), (64, 64), (128, 64))
"""Hidden units and sequences."""


def elman(cell: Elman, inputs: Tensor, keep: Tensor | None) -> Tensor:
    h, outputs = torch.zeros(inputs.shape[1], cell.hidden_size), []
    for t, x in enumerate(inputs):
        new = torch.tanh(F.linear(x, cell.weight_input, cell.bias) + F.linear(h, cell.weight_recurrent))
        h = new if keep is None else torch.where(keep[t], new, h)
        outputs.append(h)
    return torch.stack(outputs)


def gru(cell: GRU, inputs: Tensor, keep: Tensor | None) -> Tensor:
    h, outputs = torch.zeros(inputs.shape[1], cell.hidden_size), []
    for t, x in enumerate(inputs):
        x_r, x_z, x_n = F.linear(x, cell.weight_input, cell.bias).chunk(3, -1)
        u_r, u_z, u_n = F.linear(h, cell.weight_recurrent).chunk(3, -1)
        r, z = torch.sigmoid(x_r + u_r), torch.sigmoid(x_z + u_z)
        new = (1 - z) * torch.tanh(x_n + r * u_n) + z * h
        h = new if keep is None else torch.where(keep[t], new, h)
        outputs.append(h)
    return torch.stack(outputs)


def lstm(cell: LSTM, inputs: Tensor, keep: Tensor | None) -> Tensor:
    h = c = torch.zeros(inputs.shape[1], cell.hidden_size)
    outputs = []
    for t, x in enumerate(inputs):
        gates = F.linear(x, cell.weight_input, cell.bias) + F.linear(h, cell.weight_recurrent)
        i, f, g, o = gates.chunk(4, -1)
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        h, c = (
            (new_h, new_c)
            if keep is None
            else (torch.where(keep[t], new_h, h), torch.where(keep[t], new_c, c))
        )
        outputs.append(h)
    return torch.stack(outputs)


LOOPS: dict[type, Callable[..., Tensor]] = {Elman: elman, LSTM: lstm, GRU: gru}


def main() -> None:
    keep_freed_memory()
    torch.set_num_threads(1)
    interface.implementation = lambda *_: Choice("loop", reference.run, "to be measured")  # type: ignore[assignment]
    lines = [
        f"# The loop against a plain loop on {device_name('cpu')}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, one thread, "
        f"T = {TIME}, float32. Milliseconds a forward and backward pass: medians of {ROUNDS}. "
        "`python benchmarks/loop.py`",
        "",
        "| cell | hidden | batch | lengths | plain loop ms | our loop ms | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    ratios = []
    for kind, (hidden, batch), padded in itertools.product(LOOPS, SIZES, (False, True)):
        torch.manual_seed(0)
        cell, inputs = kind(hidden, hidden), torch.randn(TIME, batch, hidden, requires_grad=True)
        lengths = torch.randint(1, TIME + 1, (batch,)) if padded else None
        keep = None if lengths is None else (torch.arange(TIME).unsqueeze(1) < lengths).unsqueeze(-1)
        sides = [
            lambda run=LOOPS[kind], cell=cell, x=inputs, keep=keep: run(cell, x, keep).sum().backward(),
            lambda cell=cell, x=inputs, lengths=lengths: scan(cell, x, lengths=lengths)[0].sum().backward(),
        ]
        plain, ours = (1000 * statistics.median(times) for times in in_turns(sides, "cpu", 0.0, ROUNDS))
        ratios.append(ours / plain)
        many = "many" if padded else "one"
        lines.append(
            f"| {kind.__name__} | {hidden} | {batch} | {many} | {plain:.2f} | {ours:.2f} | {ratios[-1]:.2f} |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"Highest ratio {max(ratios):.2f} (bar 1.3).", ""]
    print("\n".join(lines[-3:]), flush=True)
    write("loop", "cpu", "\n".join(lines))


if __name__ == "__main__":
    main()
