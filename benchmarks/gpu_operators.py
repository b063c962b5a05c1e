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
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import date
from importlib import metadata
from itertools import product
from typing import NamedTuple
from unittest.mock import patch

import torch
from cells import LAYERS
from operators import Scanned
from page import device_name, write
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.scan import interface, reference
from lit_seq.scan.choice import Choice

BATCH, FEATURES = 64, 2
LOOP = Choice("loop", reference.run, "the peer")
LEAST, BUDGET = 5, 0.5
SECONDS = 5.0
"""How long processes run at once."""

Side = Callable[[], None]


class Case(NamedTuple):
    """What is run."""

    layer: str
    hidden: int
    trials: int
    time: int
    precision: str
    device: str

    def operations(self) -> float:
        """Return the multiplications and additions of a round's matrix products."""
        gates = {"LSTM": 4, "GRU": 3}.get(self.layer, 1)
        forward = 2 * self.trials * self.time * BATCH * gates * self.hidden
        return forward * (3 * self.hidden + 2 * FEATURES)

    def tensors(self, *shape: int) -> Tensor:
        """Return random numbers for each trial, step and row."""
        return torch.randn(self.trials, self.time, BATCH, *shape, device=self.device)


def in_turn(case: Case) -> Side:
    build = LAYERS[case.layer][0]
    layers = [build(FEATURES, case.hidden).to(case.device) for _ in range(case.trials)]
    inputs, gradient = case.tensors(FEATURES), case.tensors(case.hidden)

    def side() -> None:
        for layer, x, dy in zip(layers, inputs, gradient, strict=True):
            layer.zero_grad()
            layer(x)[0].backward(dy)

    return side


def packed(case: Case, path: str) -> Side:
    """Return a round of stacked trials by the path "triton", "fused" or "loop"."""
    models = [Scanned(LAYERS[case.layer][1](FEATURES, case.hidden)) for _ in range(case.trials)]
    values, _ = stack_module_state(models)
    values = {name: value.detach().to(case.device).requires_grad_() for name, value in values.items()}
    inputs, gradient = case.tensors(FEATURES), case.tensors(case.hidden)

    def side() -> None:
        for value in values.values():
            value.grad = None
        os.environ["LIT_SEQ_TRITON"] = str(int(path == "triton"))
        forced = patch.object(interface, "implementation", lambda *_: LOOP)
        with forced if path == "loop" else contextlib.nullcontext():
            outputs = vmap(lambda v, x: functional_call(models[0], v, (x,)))(values, inputs)
        if path == "triton" and models[0].path != "triton":
            raise RuntimeError(f"it went by {models[0].path}")
        outputs.backward(gradient)

    return side


def flashrnn(case: Case) -> Side:
    """Return a round of flashrnn's, whose heads are the trials."""
    from flashrnn import flashrnn as run

    function = {"LSTM": "lstm", "GRU": "gru", "Elman tanh": "elman"}[case.layer]
    gates, states = {"lstm": (4, 2), "gru": (3, 1), "elman": (1, 1)}[function]
    dtype = torch.bfloat16 if case.precision == "medium" else torch.float32
    width, device = case.hidden, case.device

    def leaf(*shape: int) -> Tensor:
        return (torch.randn(*shape, device=device, dtype=dtype) / width**0.5).requires_grad_()

    w, u, b = leaf(case.trials, FEATURES, gates * width), leaf(gates, case.trials, width, width), None
    b = leaf(gates, case.trials, width)
    start = torch.zeros(states, BATCH, 1, case.trials, width, device=device, dtype=dtype)
    inputs, gradient = case.tensors(FEATURES).to(dtype), case.tensors(width).to(dtype)
    gradient = gradient.permute(2, 1, 0, 3).contiguous()

    def side() -> None:
        w.grad = u.grad = b.grad = None
        x = torch.bmm(inputs.flatten(1, 2), w).view(case.trials, case.time, BATCH, gates, width)
        found, _ = run(
            x.permute(2, 1, 3, 0, 4).contiguous(), u, b, states=start, function=function, backend="cuda_fused"
        )
        found[0].backward(gradient)

    return side


def graphed(side: Side) -> Side:
    """Return the same as one CUDA graph."""
    with torch.cuda.stream(stream := torch.cuda.Stream()):
        for _ in range(3):
            side()
    stream.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        side()
    return graph.replay


def sides(case: Case) -> Iterator[tuple[str, Side | str]]:
    """Yield each side, or why there is none."""
    gpu = case.device == "cuda"
    builders: list[tuple[str, Callable[[], Side]]] = [("cuDNN", lambda: in_turn(case))]
    for name, path in (("kernels", "triton"), ("operations", "fused")):
        builders.append((name, lambda path=path: packed(case, path)))  # type: ignore[misc]
        if gpu:
            builders.append((f"{name}, graph", lambda path=path: graphed(packed(case, path))))  # type: ignore[misc]
    if case.trials * case.time <= 1600:
        builders.append(("loop", lambda: packed(case, "loop")))
    if gpu and case.layer != "Elman ReLU":
        builders.append(("flashrnn", lambda: flashrnn(case)))
    for name, build in builders:
        try:
            side = build()
            side()
        except Exception as error:
            yield name, f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]
        else:
            yield name, side


def milliseconds(side: Side, device: str) -> float:
    if device == "cpu":
        start = time.perf_counter()
        side()
        return 1000 * (time.perf_counter() - start)
    before, behind = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    before.record()
    side()
    behind.record()
    behind.synchronize()
    return before.elapsed_time(behind)


def in_turns(there: dict[str, Side], device: str) -> dict[str, list[float]]:
    for side in [*there.values()] * 2:
        side()
    found: dict[str, list[float]] = {name: [] for name in there}
    end = time.perf_counter() + BUDGET * len(there)
    while len(next(iter(found.values()))) < LEAST or time.perf_counter() < end:
        for name, side in there.items():
            found[name].append(milliseconds(side, device))
    return found


def peak(precision: str, device: str) -> float:
    """Return operations a second of a large product in a precision."""
    size = 8192 if device == "cuda" else 512
    dtype = torch.bfloat16 if precision == "medium" else torch.float32
    a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    return 2 * size**3 / min(milliseconds(lambda: torch.mm(a, b), device) for _ in range(10)) * 1000


def rounds_of_one(case: Case) -> None:
    """Run one layer of cuDNN's until the time is up, as one process of several; print how often."""
    side = in_turn(case._replace(trials=1))
    for _ in range(5):
        side()
    torch.cuda.synchronize()
    print("ready", flush=True)
    sys.stdin.readline()
    count, end = 0, time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        side()
        torch.cuda.synchronize()
        count += 1
    print(count, flush=True)


def at_once(case: Case, environment: dict[str, str]) -> float:
    """Return the milliseconds in which K processes at once do a round each."""
    options = [f"--{name}={getattr(case, name)}" for name in ("hidden", "time", "device", "precision")]
    command = [sys.executable, __file__, "--one", f"--cells={case.layer}", *options]
    processes = [
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        for _ in range(case.trials)
    ]
    try:
        for process in processes:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise RuntimeError("a process did not start")
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        said = [int(process.communicate()[0]) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return 1000 * SECONDS * case.trials / sum(said)


@contextlib.contextmanager
def mps() -> Iterator[dict[str, str] | None]:
    """Start NVIDIA's multi-process service, where that is allowed; give the environment to reach it by."""
    if shutil.which("nvidia-cuda-mps-control") is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        own = {"CUDA_MPS_PIPE_DIRECTORY": folder, "CUDA_MPS_LOG_DIRECTORY": folder}
        environment = {**os.environ, **own}
        started = subprocess.run(["nvidia-cuda-mps-control", "-d"], env=environment, check=False)
        yield own if started.returncode == 0 else None
        subprocess.run(["nvidia-cuda-mps-control"], input="quit\n", text=True, env=environment, check=False)


def measured(case: Case, processes: bool) -> Iterator[list[str]]:
    """Yield a row for each side."""
    torch.set_float32_matmul_precision(case.precision)
    torch.manual_seed(0)
    found = dict(sides(case))
    there = {name: side for name, side in found.items() if not isinstance(side, str)}
    times = in_turns({**there, "one": in_turn(case._replace(trials=1))}, case.device)
    one = statistics.median(times["one"])
    head = [case.layer, str(case.hidden), str(case.trials), str(case.time), case.precision]
    reached = peak(case.precision, case.device)
    for name, side in found.items():
        if isinstance(side, str):
            yield [*head, name, side, "", "", ""]
            continue
        low, middle, high = statistics.quantiles(times[name], n=4)
        yield [
            *head,
            name,
            f"{middle:.2f} ({low:.2f}–{high:.2f})",
            f"{1000 * case.trials / middle:.0f}",
            f"{middle / one:.2f}",
            f"{case.operations() / (middle / 1000) / reached:.1%}",
        ]
    if processes and case.device == "cuda" and 1 < case.trials <= 16:
        with mps() as service:
            for name, environment in (("processes", {}), ("processes, MPS", service)):
                if environment is not None:
                    took = at_once(case, environment)
                    rate = f"{1000 * case.trials / took:.0f}"
                    yield [*head, name, f"{took:.2f}", rate, f"{took / one:.2f}", ""]


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
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    axes = (options.cells, options.hidden, options.trials, options.time, options.precision, [options.device])
    if options.one:
        rounds_of_one(next(Case(*values) for values in product(*axes)))
        return
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
