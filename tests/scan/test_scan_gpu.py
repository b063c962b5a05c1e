"""The kernels in Triton: on a GPU, and elsewhere in Triton's interpreter."""

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from scanned import Scanned
from torch import Tensor
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.scan import choice, gpu, implementation, interface, reference
from lit_seq.scan.choice import Choice

triton = pytest.importorskip("triton")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
on_a_gpu = [pytest.mark.gpu, pytest.mark.skipif(DEVICE == "cpu", reason="the interpreter has no tf32")]
BOUNDS = {"highest": 1e-5, "high": 1e-3, "medium": 1e-2}
"""Relative errors that float32, tf32 and bf16 may have."""

CELLS = {
    "tanh": lambda i, h: Elman(i, h),
    "relu": lambda i, h: Elman(i, h, "relu", recurrent_scale=0.5),
    "lstm": lambda i, h: LSTM(i, h),
    "coupled": lambda i, h: LSTM(i, h, coupled=True, bias=False),
    "gru": lambda i, h: GRU(i, h),
}


@pytest.fixture(autouse=True)
def _on(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Turn the kernels on, and fill what they are to write with NaN."""
    monkeypatch.setenv("LIT_SEQ_TRITON", "1")
    new_empty = Tensor.new_empty
    monkeypatch.setattr(Tensor, "new_empty", lambda *a, **k: new_empty(*a, **k).fill_(torch.nan))
    torch.manual_seed(0)
    yield
    torch.set_float32_matmul_precision("highest")


def stacked(name: str, trials: int, inputs: int, hidden: int) -> tuple[list[Scanned], dict[str, Tensor]]:
    models = [Scanned(CELLS[name](inputs, hidden)) for _ in range(trials)]
    for model in models if name == "relu" else []:
        # Rounding may not switch a unit on or off, where the derivative jumps.
        model.cell.bias.data = 4 * torch.randn(hidden).sign()
    values, _ = stack_module_state(models)
    return models, {key: value.detach().to(DEVICE).requires_grad_() for key, value in values.items()}


def weighed(outputs: tuple[Tensor, ...]) -> Tensor:
    """A scalar in which every output has a weight of its own, the same in any precision."""
    weights = (torch.linspace(-1, 2, x.numel(), dtype=torch.float64).cos().reshape(x.shape) for x in outputs)
    return sum((x * w.to(x)).sum() for x, w in zip(outputs, weights, strict=True))


def difference(found: Tensor, expected: Tensor) -> float:
    """Relative error by the norm of the whole."""
    assert found.dtype == torch.float32
    error, size = (found.detach().cpu() - expected.detach()).norm(), expected.detach().norm()
    return float(error / size) if size else float(error)


def together(model: Scanned, values: dict[str, Tensor], *arguments: Any) -> tuple[Tensor, ...]:
    def one(values: dict[str, Tensor], *arguments: Any) -> tuple[Tensor, ...]:
        assert implementation(model.cell, arguments[0]).name == "triton"
        return functional_call(model, values, arguments)

    return vmap(one, in_dims=(0, *(0 if isinstance(a, Tensor | tuple) else None for a in arguments)))(
        values, *arguments
    )


def check_against_loop(
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    sizes: tuple[int, int, int, int],
    precision: str,
    padded: bool,
    reverse: bool,
) -> None:
    trials, time, batch, hidden = sizes
    models, values = stacked(name, trials, 3, hidden)
    width = len(models[0].cell.state_type._fields)
    x = torch.randn(trials, time, batch, 3, device=DEVICE, requires_grad=True)
    parts = [torch.randn(trials, batch, hidden, device=DEVICE, requires_grad=True) for _ in range(width)]
    lengths = torch.randint(1, time + 1, (trials, batch)) if padded else None
    torch.set_float32_matmul_precision(precision)
    outputs = together(models[0], values, x, models[0].cell.state_type(*parts), lengths, reverse)
    sum(weighed(tuple(part[k] for part in outputs)) for k in range(trials)).backward()
    torch.set_float32_matmul_precision("highest")
    loop = Choice("loop", reference.run, "the judge")
    monkeypatch.setattr(interface, "implementation", lambda *_: loop)
    bound = BOUNDS[precision]
    for k, model in enumerate(models):
        leaves = [t.detach()[k].cpu().double().requires_grad_() for t in (x, *parts)]
        known = {key: value.detach()[k].cpu().double().requires_grad_() for key, value in values.items()}
        state = model.cell.state_type(*leaves[1:])
        own = None if lengths is None else lengths[k]
        expected = functional_call(model.double(), known, (leaves[0], state, own, reverse))
        weighed(expected).backward()
        for found, wanted in zip(outputs, expected, strict=True):
            assert difference(found[k], wanted) < bound
        for found, wanted in zip((x, *parts), leaves, strict=True):
            assert difference(found.grad[k], wanted.grad) < bound
        for key, wanted in known.items():
            assert difference(values[key].grad[k], wanted.grad) < bound, key


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["highest", pytest.param("high", marks=on_a_gpu), "medium"])
@pytest.mark.parametrize("padded", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", CELLS)
def test_kernels_equal_the_loop_in_float64(
    monkeypatch: pytest.MonkeyPatch, name: str, reverse: bool, padded: bool, precision: str
) -> None:
    check_against_loop(monkeypatch, name, (2, 4, 18, 20), precision, padded, reverse)
    check_against_loop(monkeypatch, name, (1, 1, 2, 3), precision, padded, reverse)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_u_is_read_at_each_step_where_it_does_not_stay(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module = importlib.import_module(f"lit_seq.scan.gpu.{type(CELLS[name](1, 1)).__name__.lower()}")
    for kernel in (module._forward, module._backward):
        monkeypatch.setattr(kernel, "configs", [triton.Config({"ROWS": 32, "RESIDENT": False})])
    check_against_loop(monkeypatch, name, (2, 4, 18, 20), "highest", True, False)


@pytest.mark.slow
@pytest.mark.parametrize("padded", [False, True], ids=["full", "lengths"])
@pytest.mark.parametrize("reverse", [False, True], ids=["forward", "reverse"])
@pytest.mark.parametrize("name", ["lstm", "coupled", "gru"])
def test_larger_nets_have_a_kernel_a_step(
    monkeypatch: pytest.MonkeyPatch, name: str, reverse: bool, padded: bool
) -> None:
    check_against_loop(monkeypatch, name, (2, 4, 3, 130), "highest", padded, reverse)
    # In which more than one program takes part of a step, and the last one has some elements only.
    monkeypatch.setattr(gpu, "LARGEST", 10)
    check_against_loop(monkeypatch, name, (3, 5, 40, 11), "highest", padded, reverse)


@pytest.mark.slow
@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_the_same_twice_and_nan_stays_in_its_trial(name: str) -> None:
    models, values = stacked(name, 3, 3, 5)
    x = torch.randn(3, 6, 4, 3, device=DEVICE, requires_grad=True)

    def gradients(x: Tensor) -> list[Tensor]:
        loss = sum(weighed((y,)) for y in together(models[0], values, x))
        return list(torch.autograd.grad(loss, (x, *values.values())))

    first, second = gradients(x), gradients(x)
    assert all(map(torch.equal, first, second))
    spoilt = x.detach().clone()
    spoilt[1, 2, 0] = torch.nan
    outputs = together(models[0], values, spoilt)[0]
    assert outputs[1, 2:, 0].isnan().all()
    assert not outputs[1, :, 1:].isnan().any()
    third = gradients(spoilt.requires_grad_())
    assert all(torch.equal(one[[0, 2]], other[[0, 2]]) for one, other in zip(first, third, strict=True))
    assert any(other[1].isnan().any() for other in third)


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        (lambda: Leaky(3, 5), "there is no Triton kernel for Leaky"),
        (lambda: Elman(3, 5, "elu"), "the Triton kernels have no elu"),
        (lambda: LSTM(3, 5, peepholes=True), "the Triton kernels have no peepholes"),
        (lambda: GRU(3, 5, "before"), "the Triton kernels have no reset before the product"),
        (
            lambda: Elman(3, 129),
            "more than 128 units of an Elman net have one operation behind the product",
        ),
        (lambda: GRU(3, 5).double(), "the Triton kernels are not for torch.float64"),
    ],
)
def test_it_is_said_why_there_is_no_kernel(cell: Callable[[], Cell[Any]], why: str) -> None:
    assert choice._without_gpu(cell()) == why


def test_they_are_off_until_they_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIT_SEQ_TRITON")
    assert choice._without_gpu(GRU(3, 5)) == "the Triton kernels are off (LIT_SEQ_TRITON=1 turns them on)"
    monkeypatch.setenv("LIT_SEQ_TRITON", "1")
    # A trial alone has cuDNN, or the operators of the CPU.
    assert implementation(GRU(3, 5), torch.zeros(4, 2, 3)).name != "triton"


COMPILE = """
from importlib import import_module
from triton_kernels import SHARED, assembled, compiled
for cell, constants in (("elman", {"ACTIVATION": "relu"}), ("gru", {}), ("lstm", {})):
    for name in ("_forward", "_backward"):
        kernel = getattr(import_module(f"lit_seq.scan.gpu.{cell}"), name)
        for precision, resident in (("tf32x3", False), ("bf16", True)):
            config = next(c for c in kernel.configs if c.num_warps == 8 and c.kwargs["RESIDENT"] == resident)
            form = compiled(kernel, 90, config, {**constants, "HIDDEN": 128, "PRECISION": precision})
            print(cell, name, precision, form)
            assert form.shared <= SHARED and form.spilled < 256, form
for cell in ("gru", "lstm"):
    for name in ("_forward", "_backward"):
        kernel = getattr(import_module(f"lit_seq.scan.gpu.{cell}_steps"), name)
        made, registers, spilled = assembled(kernel, 90, {"BLOCK": 1024}, num_warps=4)
        print(cell, name, "a step", registers)
        assert spilled == 0
"""


@pytest.mark.slow
def test_they_compile_for_an_h100_that_is_not_there() -> None:
    """U of 128 LSTM units stays on a multiprocessor in bf16, and has room to be read by slices in float32."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    benchmarks = Path(__file__).parents[2] / "benchmarks"
    environment["PYTHONPATH"] = os.pathsep.join([str(benchmarks), *sys.path])
    done = subprocess.run([sys.executable, "-c", COMPILE], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == 16
