"""What takes turns in gpu_operators.py: rounds of stacked trials on a GPU, in several ways."""

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple
from unittest.mock import patch

import torch
from cells import LAYERS
from operators import Scanned
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.scan import interface, reference
from lit_seq.scan.choice import Choice

BATCH, FEATURES = 64, 2
LOOP = Choice("loop", reference.run, "the peer")

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
