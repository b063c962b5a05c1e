"""Going up a batch of trees a level at a time, against node by node.

    python benchmarks/trees.py [--device cpu|cuda]

A step is the forward and the backward pass of a child-sum Tree-LSTM over 256 trees of 50 nodes with words at
all nodes, in float32. Node by node is what one writes first: recursion, each node once its children have
their states. By levels includes cutting the trees into levels, which the loader does once a batch. Both sides
do the same sums and take turns; times are medians, on a CPU of one thread's processor time.
"""

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from datetime import date

import torch
from page import device_name, write
from torch import Tensor
from torch.nn import functional as F
from torch.utils._pytree import tree_map

from lit_seq.allocator import keep_freed_memory
from lit_seq.cells.tree import ChildSumTreeLSTM
from lit_seq.data import Tree
from lit_seq.scan.tree import climb

BATCH, NODES, HIDDEN, ROUNDS = 256, 50, 128, 5


def random_trees() -> dict[str, Tensor]:
    """Return the parents, (batch, nodes), of trees of several forms."""
    nodes = torch.arange(NODES)
    return {
        # Each node hangs from any of those before it.
        "random": torch.stack([(torch.rand(NODES) * nodes).long() for _ in range(BATCH)]).index_fill(
            1, torch.tensor([0]), -1
        ),
        "balanced binary": ((nodes - 1).div(2, rounding_mode="floor")).expand(BATCH, NODES).clone(),
        "chain": (nodes - 1).expand(BATCH, NODES).clone(),
    }


def node_by_node(cell: ChildSumTreeLSTM, inputs: Tensor, parents: list[list[int]]) -> Tensor:
    """Return h of each node, (time, batch, hidden), by recursion."""
    projected = cell.project(inputs).unbind(1)
    return torch.stack([of_tree(cell, x, tree) for x, tree in zip(projected, parents, strict=True)], 1)


def of_tree(cell: ChildSumTreeLSTM, x: Tensor, parents: list[int]) -> Tensor:
    """Return h of each node of one tree, (time, hidden)."""
    u_gates, u_f = cell.weight_recurrent.split([3 * HIDDEN, HIDDEN])
    children: list[list[int]] = [[] for _ in parents]
    for node, parent in enumerate(parents):
        if parent >= 0:
            children[parent].append(node)
    h: dict[int, Tensor] = {}

    def content(node: int) -> Tensor:
        below = [content(child) for child in children[node]]
        gates, f_x = x[node].split([3 * HIDDEN, HIDDEN])
        if below:
            h_below = torch.stack([h[child] for child in children[node]])
            gates = gates + F.linear(h_below.sum(0), u_gates)
        i, o, u = gates.chunk(3)
        c = torch.sigmoid(i) * torch.tanh(u)
        if below:
            c = c + (torch.sigmoid(f_x + F.linear(h_below, u_f)) * torch.stack(below)).sum(0)
        h[node] = torch.sigmoid(o) * torch.tanh(c)
        return c

    content(parents.index(-1))
    return torch.stack([h[node] for node in range(len(parents))])


def milliseconds(run: Callable[[], Tensor], gradient: Tensor) -> float:
    on_gpu = gradient.device.type == "cuda"
    clock = time.perf_counter if on_gpu else time.process_time
    wait = torch.cuda.synchronize if on_gpu else (lambda: None)
    wait()
    start = clock()
    run().backward(gradient)
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
    torch.manual_seed(0)
    cell = ChildSumTreeLSTM(HIDDEN, HIDDEN).to(device)
    inputs = torch.randn(NODES, BATCH, HIDDEN, device=device)
    gradient = torch.randn(NODES, BATCH, HIDDEN, device=device)
    lines = [
        f"# Trees a level at a time on {device_name(device)}",
        "",
        f"{date.today()}, Python {platform.python_version()}, torch {torch.__version__}, {BATCH} trees of"
        f" {NODES} nodes, child-sum Tree-LSTM with {HIDDEN} units, float32. Milliseconds forward and"
        f" backward: medians of {ROUNDS}. `python benchmarks/trees.py`",
        "",
        "| trees | levels | node by node ms | by levels ms | ratio |",
        "|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    ratios = []
    for name, parents in random_trees().items():

        def by_levels(parents: Tensor = parents) -> Tensor:
            tree = Tree.of(parents)
            return climb(cell, inputs, tree_map(lambda part: part.to(device), tree))

        def one_by_one(parents: Tensor = parents) -> Tensor:
            return node_by_node(cell, inputs, parents.tolist())

        torch.testing.assert_close(by_levels(), one_by_one(), rtol=1e-3, atol=1e-4)
        rounds = [[milliseconds(run, gradient) for run in (one_by_one, by_levels)] for _ in range(ROUNDS)]
        slow, fast = map(statistics.median, zip(*rounds, strict=True))
        ratios.append(slow / fast)
        levels = len(Tree.of(parents).levels)
        lines.append(f"| {name} | {levels} | {slow:.0f} | {fast:.1f} | {ratios[-1]:.0f} |")
        print(lines[-1], flush=True)
    lines += ["", f"Lowest ratio {min(ratios):.0f} (bar 10)."]
    print("\n".join(lines[-2:]), flush=True)
    write("trees", device, "\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
