"""Which implementation runs, what scan refuses, and what surrounds it."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells import GRU, LSTM, Cell, Elman, HiddenState, Leaky
from lit_seq.scan import implementation, native, scan

CELLS = [Elman, LSTM, GRU, Leaky]


class Halved(GRU):
    """A GRU with a rule of its own."""

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        return HiddenState(super().step(projected, state).h / 2)


class Squared(LSTM):
    """An LSTM that shows something else."""

    def output(self, state: Any) -> Tensor:
        return state.h**2


class Shifted(LSTM):
    """An LSTM with a projection of its own, which its operator takes and torch's kernel cannot."""

    def project(self, inputs: Tensor) -> Tensor:
        return super().project(inputs) + 1


class Counter(Cell[HiddenState]):
    """A user's cell in plain operations: h grows by the input's sum."""

    state_type = HiddenState

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.rate = nn.Parameter(torch.ones(hidden_size))

    def project(self, inputs: Tensor) -> Tensor:
        return inputs.sum(-1, keepdim=True)

    def step(self, projected: Tensor, state: HiddenState) -> HiddenState:
        return HiddenState(state.h + self.rate * projected)

    def reset_parameters(self) -> None:
        nn.init.ones_(self.rate)


@pytest.mark.parametrize(
    ("cell", "dtype", "name"),
    [
        (LSTM(3, 4), torch.float32, "library"),
        (LSTM(3, 4), torch.float64, "fused"),
        (LSTM(3, 4, peepholes=True), torch.float32, "fused"),
        (GRU(3, 4), torch.float32, "fused"),
        (Elman(3, 4), torch.float32, "fused"),
        (Elman(3, 4, "sigmoid"), torch.float32, "fused"),
        (Elman(3, 4, "softsign"), torch.float32, "loop"),
        (LSTM(3, 4, coupled=True), torch.float32, "library"),
        (GRU(3, 4, "before"), torch.float32, "fused"),
        (Leaky(3, 4), torch.float32, "fused"),
        (Leaky(3, 4, activation="gelu"), torch.float32, "loop"),
        (Shifted(3, 4), torch.float32, "fused"),
        (Halved(3, 4), torch.float32, "loop"),
        (Squared(3, 4), torch.float32, "loop"),
        (Counter(3, 4), torch.float32, "loop"),
    ],
)
def test_choice_on_the_cpu_without_native_operators(
    monkeypatch: pytest.MonkeyPatch, cell: Cell[Any], dtype: torch.dtype, name: str
) -> None:
    monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    inputs = torch.zeros(5, 2, 3, dtype=dtype)
    choice = implementation(cell.to(dtype), inputs)
    assert choice.name == name
    assert choice.reason
    packed = []
    torch.vmap(lambda x: packed.append(implementation(cell, x)) or x)(inputs.unsqueeze(0))
    assert packed[0].name == name


@pytest.mark.skipif(native.unavailable() is not None, reason=f"{native.unavailable()}")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("cell", "name"),
    [
        (LSTM(3, 16), "native"),
        (LSTM(3, 16, bias=False), "native"),
        (GRU(3, 4), "native"),
        (Elman(3, 4), "native"),
        (Elman(3, 4, "relu"), "native"),
        (Elman(3, 4, "relu", recurrent_init="identity"), "native"),
        (LSTM(3, 16, coupled=True, chrono=20), "native"),
        (Leaky(3, 4, [0.5, 0.1]), "native"),
        (Leaky(3, 4, activation="relu", learned=True), "native"),
        (Elman(3, 4, "sigmoid"), "fused"),
        (Elman(3, 4, "softsign"), "loop"),
        (Leaky(3, 4, activation="softplus"), "fused"),
        (LSTM(3, 16, peepholes=True), "fused"),
        (LSTM(3, 16, peepholes=True, coupled=True), "fused"),
        (GRU(3, 4, "before"), "fused"),
        (Shifted(3, 16), "fused"),
        (Halved(3, 4), "loop"),
        (Squared(3, 4), "loop"),
        (Counter(3, 4), "loop"),
    ],
)
def test_choice_on_the_cpu(
    monkeypatch: pytest.MonkeyPatch, cell: Cell[Any], name: str, dtype: torch.dtype
) -> None:
    monkeypatch.setattr(native, "instructions", lambda: "AVX-512")
    inputs, found = torch.zeros(5, 64, 3, dtype=dtype), []
    found.append(implementation(cell.to(dtype), inputs))
    torch.vmap(lambda x: found.append(implementation(cell, x)) or x)(inputs.unsqueeze(0))
    assert [choice.name for choice in found] == [name, name]


@pytest.mark.skipif(native.unavailable() is not None, reason=f"{native.unavailable()}")
@pytest.mark.parametrize(
    ("hidden", "batch", "instructions"),
    [(512, 64, "AVX-512"), (65, 64, "AVX-512"), (64, 8, "AVX-512"), (64, 64, "AVX2")],
)
def test_a_lone_lstm_goes_where_it_is_faster(
    monkeypatch: pytest.MonkeyPatch, hidden: int, batch: int, instructions: str
) -> None:
    monkeypatch.setattr(native, "instructions", lambda: instructions)
    cell, inputs, packed = LSTM(3, hidden), torch.zeros(5, batch, 3), []
    assert implementation(cell, inputs).name == "library"
    assert implementation(cell.double(), inputs.double()).name == "native"
    torch.vmap(lambda x: packed.append(implementation(cell.float(), x)) or x)(inputs.unsqueeze(0))
    assert packed[0].name == "native"


@pytest.mark.parametrize("kind", [Elman, Leaky])
@pytest.mark.parametrize("activation", ["linear", "leaky_relu"])
def test_a_growing_recurrence_with_padding_takes_the_loop(kind: type[Cell[Any]], activation: str) -> None:
    cell, inputs = kind(3, 4, activation=activation), torch.zeros(5, 2, 3)
    assert implementation(cell, inputs).name == "fused"
    assert implementation(cell, inputs, torch.tensor([5, 1])).name == "loop"


def test_a_step_replaced_on_the_instance_is_obeyed() -> None:
    cell = GRU(3, 4)
    cell.step = lambda projected, state: HiddenState(state.h + 1)  # type: ignore[method-assign]
    outputs, _ = scan(cell, torch.zeros(3, 1, 3))
    assert outputs[:, 0, 0].tolist() == [1, 2, 3]


def test_overridden_rules_are_obeyed() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, 2, 3)
    cell = Halved(3, 4)
    h = torch.zeros(2, 4)
    for t in range(5):
        h = GRU.step(cell, cell.project(x[t]), HiddenState(h)).h / 2
    torch.testing.assert_close(scan(cell, x)[1].h, h)
    squared = Squared(3, 4)
    plain = LSTM(3, 4)
    plain.load_state_dict(squared.state_dict())
    torch.testing.assert_close(scan(squared, x)[0], scan(plain, x)[0] ** 2)
    shifted = Shifted(3, 4)
    plain.load_state_dict(shifted.state_dict())
    with torch.no_grad():
        plain.bias.add_(1)
    torch.testing.assert_close(scan(shifted, x)[0], scan(plain, x)[0])


def test_a_users_cell_needs_only_project_and_step() -> None:
    x = torch.tensor([[1.0, 10.0], [2.0, 20.0], [3.0, 30.0]]).unsqueeze(-1)
    cell, lengths = Counter(1, 1), torch.tensor([3, 2])
    outputs, final = scan(cell, x, lengths=lengths)
    assert outputs[..., 0].tolist() == [[1, 10], [3, 30], [6, 0]]
    assert final.h[:, 0].tolist() == [6, 30]
    outputs, final = scan(cell, x, lengths=lengths, reverse=True)
    assert outputs[..., 0].tolist() == [[6, 30], [5, 20], [3, 0]]
    assert final.h[:, 0].tolist() == [6, 30]


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"inputs": torch.zeros(5, 2, 4)}, r"inputs have shape \(5, 2, 4\); it must be \(time, batch, 3\)"),
        ({"inputs": torch.zeros(5, 3)}, r"inputs have shape \(5, 3\)"),
        ({"inputs": torch.zeros(0, 2, 3)}, r"inputs have shape \(0, 2, 3\).* with at least one step"),
        ({"lengths": torch.tensor([0, 5])}, "lengths go from 0 to 5; each must be from 1 to 5"),
        ({"lengths": torch.tensor([1, 6])}, "lengths go from 1 to 6; each must be from 1 to 5"),
        ({"lengths": torch.tensor([1, 2, 3])}, r"lengths have shape \(3,\); it must be \(2,\)"),
    ],
)
def test_wrong_arguments_are_named(kind: type[Cell[Any]], arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=f"{kind.__name__}: the {sentence}"):
        scan(kind(3, 4), **{"inputs": torch.zeros(5, 2, 3), **arguments})


@pytest.mark.parametrize("kind", CELLS)
def test_a_wrong_state_is_named(kind: type[Cell[Any]]) -> None:
    with pytest.raises(ValueError, match=r"the shapes \[\(3, 4\).*; they must be \[\(2, 4\)"):
        scan(kind(3, 4), torch.zeros(5, 2, 3), kind(3, 4).initial_state(3))


@pytest.mark.parametrize("kind", CELLS)
def test_autocast_leaves_the_recurrence_in_full_precision(kind: type[Cell[Any]]) -> None:
    cell, inputs = kind(3, 4), torch.randn(5, 2, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        below = F.linear(inputs, torch.eye(3))
        assert below.dtype == torch.bfloat16
        outputs, _ = scan(cell, below)
    assert outputs.dtype == torch.float32
    torch.testing.assert_close(outputs, scan(cell, below.float())[0])
    outputs.sum().backward()


@pytest.mark.parametrize("kind", CELLS)
def test_no_gradient_is_kept_under_no_grad(kind: type[Cell[Any]]) -> None:
    cell, inputs = kind(3, 4), torch.randn(5, 2, 3)
    with torch.no_grad():
        outputs, _ = scan(cell, inputs)
    assert not outputs.requires_grad
    torch.testing.assert_close(outputs, scan(cell, inputs)[0])


@pytest.mark.parametrize("kind", CELLS)
def test_backward_twice_gives_the_same(kind: type[Cell[Any]]) -> None:
    """Operators write into buffers of their own, never into what they saved."""
    cell = kind(3, 4).double()
    outputs, final = scan(cell, torch.randn(5, 2, 3, dtype=torch.float64))
    loss = outputs.square().sum() + final[0].sum()
    first = torch.autograd.grad(loss, list(cell.parameters()), retain_graph=True)
    for a, b in zip(first, torch.autograd.grad(loss, list(cell.parameters())), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("kind", CELLS)
def test_second_derivatives_are_refused_rather_than_wrong(kind: type[Cell[Any]]) -> None:
    cell = kind(3, 4).double()
    loss = scan(cell, torch.randn(5, 2, 3, dtype=torch.float64))[0].square().sum()
    (gradient,) = torch.autograd.grad(loss, [cell.weight_recurrent], create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
