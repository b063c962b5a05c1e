"""Every implementation of a scan gives the outputs, final states and gradients of the plain loop."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.scan import Choice, interface, library, native, reference, scan
from lit_seq.scan.choice import NATIVE, OPERATORS

INPUT, HIDDEN, BATCH = 3, 5, 4

CELLS = {
    "tanh": (Elman, {}),
    "relu": (Elman, {"activation": "relu", "recurrent_init": "identity"}),
    "sigmoid": (Elman, {"activation": "sigmoid"}),
    "linear": (Elman, {"activation": "linear"}),
    "leaky_relu": (Elman, {"activation": "leaky_relu"}),
    "elu": (Elman, {"activation": "elu"}),
    "softplus": (Elman, {"activation": "softplus"}),
    "leaky": (Leaky, {"leak": 0.3}),
    "leaky, learned": (Leaky, {"leak": [0.9, 0.1], "learned": True}),
    "leaky with relu": (Leaky, {"leak": 0.6, "learned": True, "activation": "relu"}),
    "leaky with elu": (Leaky, {"leak": 0.6, "learned": True, "activation": "elu"}),
    "leaky, linear": (Leaky, {"leak": 0.6, "activation": "linear"}),
    "lstm": (LSTM, {}),
    "peepholes": (LSTM, {"peepholes": True}),
    "coupled": (LSTM, {"coupled": True}),
    "coupled peepholes": (LSTM, {"coupled": True, "peepholes": True}),
    "gru": (GRU, {}),
    "reset before": (GRU, {"reset": "before"}),
    "tanh without bias": (Elman, {"bias": False}),
    "lstm without bias": (LSTM, {"bias": False}),
    "gru without bias": (GRU, {"bias": False}),
    "coupled without bias": (LSTM, {"coupled": True, "bias": False}),
    "leaky without bias": (Leaky, {"bias": False}),
}
TWINS = {
    "tanh": lambda: nn.RNN(INPUT, HIDDEN),
    "relu": lambda: nn.RNN(INPUT, HIDDEN, nonlinearity="relu"),
    "lstm": lambda: nn.LSTM(INPUT, HIDDEN),
    "gru": lambda: nn.GRU(INPUT, HIDDEN),
}
UNBOUNDED = ("linear", "leaky_relu", "leaky, linear")
"""With padding they go to the loop itself."""
FUSED = (
    *UNBOUNDED,
    "sigmoid",
    "elu",
    "softplus",
    "leaky with elu",
    "peepholes",
    "coupled peepholes",
    "reset before",
)
STANDARD = [name for name in CELLS if name not in FUSED]
compiled = pytest.mark.skipif(native.unavailable() is not None, reason=f"{native.unavailable()}")
NATIVE_PATH = pytest.param("native", marks=compiled)
PATHS = [
    *((name, "fused") for name in CELLS),
    *((name, "library") for name in STANDARD if CELLS[name][0] is not Leaky),
    *(pytest.param(name, "native", marks=compiled) for name in STANDARD),
]


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def build(name: str) -> Cell[Any]:
    kind, options = CELLS[name]
    cell = kind(INPUT, HIDDEN, **options)
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell


def random_state(cell: Cell[Any], batch: int = BATCH) -> Any:
    return type(cell.initial_state(1))(*(torch.randn_like(part) for part in cell.initial_state(batch)))


def force(monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Make `scan` take `path`, whatever it would have chosen."""

    def chosen(cell: Cell[Any], *_: Any) -> Choice:
        step = type(cell).step
        run = {
            "native": NATIVE.get(step),
            "library": library.run,
            "loop": reference.run,
            "fused": OPERATORS.get(step),
        }[path]
        return Choice(path, run, "")  # type: ignore[arg-type]

    monkeypatch.setattr(interface, "implementation", chosen)


def results(
    cell: Cell[Any], inputs: Tensor, state: Any, lengths: Tensor | None = None, reverse: bool = False
) -> dict[str, Tensor]:
    """Outputs, final states and all gradients of one fixed random function of both."""
    inputs = inputs.detach().requires_grad_()
    state = type(state)(*(part.detach().requires_grad_() for part in state))
    cell.zero_grad()
    outputs, final = scan(cell, inputs, state, lengths, reverse)
    generator = torch.Generator().manual_seed(5)
    loss = sum((x * torch.randn(x.shape, generator=generator).to(x)).sum() for x in (outputs, *final))
    loss.backward()
    found = {"outputs": outputs, "grad inputs": inputs.grad}
    found |= {f"final {field}": part for field, part in final._asdict().items()}
    found |= {f"grad initial {field}": part.grad for field, part in state._asdict().items()}
    found |= {f"grad {key}": parameter.grad for key, parameter in cell.named_parameters()}
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(
            found[key], expected[key], rtol=1e-10, atol=1e-10, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.parametrize(("time", "batch"), [(9, BATCH), (1, BATCH), (6, 1), (1, 1)])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("name", "path"), PATHS)
def test_paths_equal_the_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, path: str, padded: bool, reverse: bool, time: int, batch: int
) -> None:
    if name in UNBOUNDED and padded:
        pytest.skip("goes to the loop itself")
    cell, inputs = build(name), torch.randn(time, batch, INPUT)
    state = random_state(cell, batch)
    lengths = torch.randint(1, time + 1, (batch,)) if padded else None
    force(monkeypatch, "loop")
    expected = results(cell, inputs, state, lengths, reverse)
    force(monkeypatch, path)
    assert_same(results(cell, inputs, state, lengths, reverse), expected)


@pytest.mark.parametrize("path", ["loop", "fused", "library", NATIVE_PATH])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_paths_equal_torch(
    monkeypatch: pytest.MonkeyPatch, name: str, padded: bool, reverse: bool, path: str
) -> None:
    cell, twin, inputs = build(name), TWINS[name](), torch.randn(7, BATCH, INPUT)
    state, lengths = random_state(cell), torch.tensor([7, 2, 1, 5]) if padded else torch.full((BATCH,), 7)
    force(monkeypatch, path)
    found = results(cell, inputs, state, lengths if padded else None, reverse)
    weights = (cell.weight_input, cell.weight_recurrent, cell.bias, torch.zeros_like(cell.bias))
    with torch.no_grad():
        for parameter, weight in zip(twin.parameters(), weights, strict=True):
            parameter.copy_(weight)
    # Each sequence alone, cut and reversed by hand: torch.nn has no padding and no lone reverse direction.
    leaf = inputs.clone().requires_grad_()
    before = type(state)(*(part.clone().requires_grad_() for part in state))
    outputs, finals = torch.zeros(7, BATCH, HIDDEN), []
    for b, length in enumerate(lengths.tolist()):
        one = leaf[:length, b : b + 1]
        start = tuple(part[None, b : b + 1].contiguous() for part in before)
        y, end = twin(one.flip(0) if reverse else one, start if len(start) > 1 else start[0])
        outputs = outputs + nn.functional.pad(
            (y.flip(0) if reverse else y), (0, 0, b, BATCH - b - 1, 0, 7 - length)
        )
        finals.append(end if isinstance(end, tuple) else (end,))
    final = type(state)(*(torch.cat(parts, 1)[0] for parts in zip(*finals, strict=True)))
    generator = torch.Generator().manual_seed(5)
    sum((x * torch.randn(x.shape, generator=generator)).sum() for x in (outputs, *final)).backward()
    expected = {"outputs": outputs, "grad inputs": leaf.grad}
    expected |= {f"final {field}": part for field, part in final._asdict().items()}
    expected |= {f"grad initial {field}": part.grad for field, part in before._asdict().items()}
    names = ("weight_input", "weight_recurrent", "bias")
    expected |= {f"grad {key}": p.grad for key, p in zip(names, twin.parameters(), strict=False)}
    assert_same(found, expected)


@pytest.mark.parametrize(
    ("name", "path"),
    [
        *((name, "fused") for name in CELLS if "bias" not in name),
        *(pytest.param(name, "native", marks=compiled) for name in STANDARD if "bias" not in name),
    ],
)
def test_operators_pass_gradcheck(name: str, path: str) -> None:
    cell = build(name)
    inputs, state = torch.randn(3, 2, INPUT, requires_grad=True), random_state(cell, 2)
    leaves = [part.requires_grad_() for part in state]
    names, parameters = zip(*cell.named_parameters(), strict=True)

    def function(x: Tensor, *rest: Tensor) -> Any:
        values = dict(zip(names, rest[len(state) :], strict=True))
        run = (NATIVE if path == "native" else OPERATORS)[type(cell).step]

        class Bound(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.cell = cell

            def forward(self, x: Tensor, state: Any) -> Any:
                outputs, final = run(self.cell, x, state, None)
                return outputs, *final

        arguments = (x, type(state)(*rest[: len(state)]))
        return torch.func.functional_call(Bound(), {f"cell.{k}": v for k, v in values.items()}, arguments)

    assert torch.autograd.gradcheck(function, (inputs, *leaves, *parameters))


@pytest.mark.parametrize("used", ["outputs", "final"])
@pytest.mark.parametrize(("name", "path"), PATHS)
def test_a_loss_may_use_a_part_of_what_a_scan_returns(
    monkeypatch: pytest.MonkeyPatch, name: str, path: str, used: str
) -> None:
    cell, inputs = build(name), torch.randn(5, BATCH, INPUT)
    before = random_state(cell)

    def gradients(path: str) -> tuple[Tensor, ...]:
        force(monkeypatch, path)
        leaves = [part.clone().requires_grad_() for part in before]
        outputs, final = scan(cell, inputs, type(before)(*leaves))
        loss = outputs.sin().sum() if used == "outputs" else final[-1].sin().sum()
        return torch.autograd.grad(loss, [*leaves, *cell.parameters()])

    for found, expected in zip(gradients(path), gradients("loop"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(("name", "path"), PATHS)
def test_arguments_need_not_be_contiguous(monkeypatch: pytest.MonkeyPatch, name: str, path: str) -> None:
    cell, inputs = build(name), torch.randn(INPUT, BATCH, 2 * 6).permute(2, 1, 0)[::2]
    assert not inputs.is_contiguous()
    state = type(random_state(cell))(*(part.expand(BATCH, HIDDEN) for part in random_state(cell, 1)))
    copied = type(state)(*(part.contiguous() for part in state))
    force(monkeypatch, path)
    assert_same(results(cell, inputs, state), results(cell, inputs.contiguous(), copied))


@pytest.mark.parametrize("path", ["loop", "fused", "library", NATIVE_PATH])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", TWINS)
def test_padding_may_hold_anything(
    monkeypatch: pytest.MonkeyPatch, name: str, reverse: bool, path: str
) -> None:
    cell, inputs, lengths = build(name), torch.randn(9, 2, INPUT), torch.tensor([5, 9])
    state = random_state(cell, 2)
    inputs[5:, 0] = torch.nan
    force(monkeypatch, path)
    together = results(cell, inputs, state, lengths, reverse)
    outputs, final = scan(cell, inputs[:5, :1], type(state)(*(part[:1] for part in state)), None, reverse)
    torch.testing.assert_close(together["outputs"][:5, :1], outputs)
    for field, part in final._asdict().items():
        torch.testing.assert_close(together[f"final {field}"][:1], part)
    assert together["outputs"][5:, 0].eq(0).all()
    assert together["grad inputs"][5:, 0].eq(0).all()
    for key, value in together.items():
        assert value.isfinite().all(), key


@pytest.mark.parametrize("path", ["loop", "fused", "library", NATIVE_PATH])
@pytest.mark.parametrize("reverse", [False, True])
def test_a_growing_relu_does_not_overflow_in_padding(
    monkeypatch: pytest.MonkeyPatch, reverse: bool, path: str
) -> None:
    cell, inputs = build("relu"), torch.rand(400, 2, INPUT)
    with torch.no_grad():
        cell.weight_recurrent.copy_(20 * torch.eye(HIDDEN))
        cell.weight_input.abs_()
    force(monkeypatch, path)
    found = results(cell, inputs, random_state(cell, 2), torch.tensor([5, 3]), reverse)
    assert found["outputs"].max() > 20**3
    for key, value in found.items():
        assert value.isfinite().all(), key


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", ["lstm", "lstm without bias"])
def test_onednn_equals_the_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, padded: bool, reverse: bool
) -> None:
    """In float32, the only type that takes this way on a CPU."""
    cell, inputs = build(name).float(), torch.randn(40, BATCH, INPUT).float()
    state, lengths = random_state(cell), torch.tensor([40, 1, 25, 3]) if padded else None
    monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    assert interface.implementation(cell, inputs, lengths).name == "library"
    found = results(cell, inputs, state, lengths, reverse)
    force(monkeypatch, "loop")
    expected = results(cell, inputs, state, lengths, reverse)
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=1e-4, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize(("name", "path"), PATHS)
def test_paths_equal_the_loop_on_the_gpu(
    monkeypatch: pytest.MonkeyPatch, name: str, path: str, padded: bool, reverse: bool, dtype: torch.dtype
) -> None:
    if name in UNBOUNDED and padded:
        pytest.skip("goes to the loop itself")
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    monkeypatch.setattr(torch.backends.cuda.matmul, "allow_tf32", False)
    cell, inputs = build(name).to("cuda", dtype), torch.randn(9, BATCH, INPUT).to("cuda", dtype)
    if path == "library":
        assert interface.implementation(cell, inputs).name == "library"
    # An expanded state is one that cuDNN refuses; lengths may be on the CPU.
    state = type(random_state(cell))(*(part.expand(BATCH, HIDDEN) for part in random_state(cell, 1)))
    lengths = torch.tensor([9, 1, 5, 9]) if padded else None
    force(monkeypatch, "loop")
    expected = results(cell, inputs, state, lengths, reverse)
    force(monkeypatch, path)
    found = results(cell, inputs, state, lengths, reverse)
    tolerance = 1e-10 if dtype == torch.float64 else 1e-4
    for key in expected:
        torch.testing.assert_close(found[key], expected[key], rtol=tolerance, atol=tolerance)
