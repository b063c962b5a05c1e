"""The native operators: their build, where it fails, float32, and the bits of a trial among others."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.scan import implementation, interface, native, reference, scan
from lit_seq.scan.choice import NATIVE, Choice
from lit_seq.scan.native import call

compiled = pytest.mark.skipif(native.unavailable() is not None, reason=f"{native.unavailable()}")

CELLS = {
    "tanh": lambda i, h: Elman(i, h),
    "relu": lambda i, h: Elman(i, h, "relu", recurrent_scale=0.5),
    "lstm": lambda i, h: LSTM(i, h),
    "gru": lambda i, h: GRU(i, h),
    "coupled": lambda i, h: LSTM(i, h, coupled=True),
    "leaky": lambda i, h: Leaky(i, h, 0.3, learned=True),
    "leaky relu": lambda i, h: Leaky(i, h, 0.3, activation="relu", recurrent_scale=0.5),
}

REPORT = """
import torch
from lit_seq.cells import GRU
from lit_seq.scan import implementation, native, scan
cell, x = GRU(3, 4), torch.zeros(5, 2, 3)
scan(cell, x)[0].sum().backward()
print(implementation(cell, x).name, native.unavailable(), sep=": ")
"""


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def start(cache: Path, **variables: str) -> "subprocess.Popen[str]":
    environment = {key: value for key, value in os.environ.items() if key not in ("CXX", "LIT_SEQ_NATIVE")}
    environment |= {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1", **variables}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen([sys.executable, "-c", REPORT], env=environment, text=True, **pipes)


def outcome(process: "subprocess.Popen[str]") -> tuple[str, str]:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out.strip(), err


@pytest.mark.slow
@compiled
def test_two_processes_that_build_at_once_share_one_library(tmp_path: Path) -> None:
    both = [start(tmp_path), start(tmp_path)]
    said = [outcome(process) for process in both]
    assert [out for out, _ in said] == ["native: None"] * 2
    assert sorted(err.count("\n") for _, err in said) == [0, 1]
    assert "compiling" in "".join(err for _, err in said)
    (kept,) = (tmp_path / "lit-seq").glob("*.so")
    assert {path.name for path in kept.parent.iterdir()} == {kept.name, "lock"}
    # A third finds it; so does one without a compiler.
    assert outcome(start(tmp_path)) == ("native: None", "")
    assert outcome(start(tmp_path, CXX="/nowhere/c++")) == ("native: None", "")
    # Another version of the compiler builds its own.
    other = program(tmp_path / "other", 'if [ "$1" = --version ]; then echo 99; else exec c++ "$@"; fi')
    out, err = outcome(start(tmp_path, CXX=str(other)))
    assert (out, err.count("\n")) == ("native: None", 1)
    assert len(list(kept.parent.glob("*.so"))) == 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "there is no C++ compiler"),
        ("exit 3", "failed (exit code 3)"),
        ('[ "$1" = --version ] && exit 0; echo "x.cpp:1:1: error: broken" >&2; exit 1', "error: broken"),
        ("exit 0", "made what does not load"),
    ],
    ids=["absent", "no version", "error", "nothing made"],
)
def test_a_broken_compiler_is_a_reason(tmp_path: Path, text: str | None, reason: str) -> None:
    compiler = tmp_path / "compiler" if text is None else program(tmp_path / "compiler", text)
    out, _ = outcome(start(tmp_path, CXX=str(compiler)))
    assert out.startswith("fused: ")
    assert reason in out
    assert not list(tmp_path.rglob("*.so"))


@pytest.mark.parametrize("kind", ["a file", "read-only"])
def test_a_cache_that_cannot_be_written_is_a_reason(tmp_path: Path, kind: str) -> None:
    cache = tmp_path / "cache"
    if kind == "a file":
        cache.touch()
    else:
        cache.mkdir(mode=0o500)
        if os.access(cache, os.W_OK):
            cache = Path("/proc")  # root may write anywhere else
    out, _ = outcome(start(cache))
    assert out.startswith("fused: they cannot be kept (")


def test_the_environment_turns_them_off(tmp_path: Path) -> None:
    assert outcome(start(tmp_path, LIT_SEQ_NATIVE="0")) == ("fused: LIT_SEQ_NATIVE=0", "")
    assert not list(tmp_path.iterdir())


@compiled
def test_they_say_for_which_instructions_they_are() -> None:
    reason = implementation(GRU(3, 4), torch.zeros(2, 1, 3)).reason
    assert native.instructions() in reason
    if "avx512f" in Path("/proc/cpuinfo").read_text():
        assert native.instructions() == "AVX-512"


class Scanned(nn.Module):
    def __init__(self, cell: Cell[Any]) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        outputs, final = scan(self.cell, x, None, lengths)
        return sum(
            (y * torch.linspace(-1, 2, y.numel()).reshape(y.shape).to(y)).sum() for y in (outputs, *final)
        )


@pytest.fixture
def forced(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return a function that makes `scan` take the native operators or the loop."""

    def force(path: str) -> None:
        def chosen(cell: Cell[Any], *_: Any) -> Choice:
            return Choice(path, NATIVE[type(cell).step] if path == "native" else reference.run, "")

        monkeypatch.setattr(interface, "implementation", chosen)

    return force


def packed(models: list[Scanned], x: Tensor, lengths: Tensor | None = None) -> dict[str, Tensor]:
    """The losses and gradients of all trials."""
    values, _ = stack_module_state(models)
    x = x.detach().requires_grad_()
    losses = vmap(lambda v, x: functional_call(models[0], v, (x, lengths)))(values, x)
    losses.sum().backward()
    return {"loss": losses.detach(), "inputs": x.grad, **{key: value.grad for key, value in values.items()}}


@compiled
@pytest.mark.parametrize("trials", [1, 3])
@pytest.mark.parametrize(
    ("hidden", "inputs", "batch", "time"), [(1, 1, 1, 6), (17, 5, 7, 1), (65, 3, 33, 6), (64, 64, 65, 9)]
)
@pytest.mark.parametrize("name", CELLS)
def test_any_size_equals_the_loop(
    forced: Any, name: str, hidden: int, inputs: int, batch: int, time: int, trials: int
) -> None:
    """Around the width of a vector, a tile and a panel; in float64, and in float32 up to its rounding."""
    torch.manual_seed(0)
    models = [Scanned(CELLS[name](inputs, hidden)).double() for _ in range(trials)]
    x, lengths = torch.randn(trials, time, batch, inputs).double(), torch.randint(1, time + 1, (batch,))
    forced("loop")
    expected = packed(models, x, lengths)
    forced("native")
    found = packed(models, x, lengths)
    single = packed([model.float() for model in models], x.float(), lengths)
    for key, value in expected.items():
        torch.testing.assert_close(
            found[key], value, rtol=1e-10, atol=1e-10, msg=lambda m, k=key: f"{k}: {m}"
        )
        error = (single[key].double() - value).abs().max() / (1 + value.abs().max())
        assert error < 1e-5, key


@compiled
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", CELLS)
def test_neighbours_and_threads_change_no_bit(forced: Any, name: str, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    models = [Scanned(CELLS[name](3, 33)).to(dtype) for _ in range(8)]
    x = torch.randn(8, 12, 70, 3, dtype=dtype)
    forced("native")
    alone = packed(models[2:3], x[2:3])
    for chosen, threads in [([2], 2), ([2], 3), ([1, 2, 7], 1), ([5, 2], 2), (list(range(8)), 2)]:
        torch.set_num_threads(threads)
        among = packed([models[k] for k in chosen], x[chosen])
        for key, value in alone.items():
            assert torch.equal(among[key][chosen.index(2)], value[0]), (key, chosen, threads)


@compiled
def test_an_empty_batch_gives_zero_gradients() -> None:
    cell = LSTM(3, 16).double()
    outputs, final = scan(cell, torch.zeros(4, 0, 3, dtype=torch.float64))
    (outputs.sum() + final.h.sum()).backward()
    assert outputs.shape == (4, 0, 16)
    assert all(parameter.grad.eq(0).all() for parameter in cell.parameters())


def test_views_give_strides_in_elements() -> None:
    x = torch.zeros(2, 5, 3, 4)[:, ::2]
    view = call._view(x, stacked=True)
    assert (view.data, view.trial, view.step, view.row) == (x.data_ptr(), 60, 24, 4)
    assert call._view(None, stacked=True).data is None
