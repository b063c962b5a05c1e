"""What holds for a scan of any cell: padding, direction, chunks, NaN, stacked trials, operators."""

import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import (
    GRU,
    LSTM,
    BatchNormInputElman,
    BatchNormInputLSTM,
    BatchNormLSTM,
    Cell,
    Clockwork,
    DeepTransition,
    FeedForward,
    Jordan,
    LayerNormElman,
    LayerNormLSTM,
    MinGRU,
    OrthogonalElman,
    OrthogonalModReLU,
    Skip,
)
from lit_seq.scan import Choice, implementation, interface, min_gru, native, reference, scan

INPUT, HIDDEN, TIME, BATCH = 3, 6, 9, 4
LENGTHS = torch.tensor([9, 1, 5, 8])

CELLS: dict[str, Callable[[], Cell[Any]]] = {
    "clockwork": lambda: Clockwork(INPUT, HIDDEN, (1, 2, 4)),
    "skip": lambda: Skip(INPUT, HIDDEN, (1, 3)),
    "skip relu": lambda: Skip(INPUT, HIDDEN, (2, 5), "relu"),
    "dilated": lambda: Skip(INPUT, HIDDEN, (4,)),
    "dilated relu": lambda: Skip(INPUT, HIDDEN, (3,), "relu"),
    "dilated sigmoid": lambda: Skip(INPUT, HIDDEN, (2,), "sigmoid"),
    "dilated linear": lambda: Skip(INPUT, HIDDEN, (2,), "linear"),
    "dilated by more than there is": lambda: Skip(INPUT, HIDDEN, (12,)),
    "deep transition": lambda: DeepTransition(INPUT, HIDDEN, 2, 3, 1, True),
    "layer norm": lambda: LayerNormElman(INPUT, HIDDEN),
    "layer norm lstm": lambda: LayerNormLSTM(INPUT, HIDDEN),
    "batch norm input": lambda: BatchNormInputElman(INPUT, HIDDEN),
    "batch norm input lstm": lambda: BatchNormInputLSTM(INPUT, HIDDEN),
    "batch norm lstm": lambda: BatchNormLSTM(INPUT, HIDDEN, steps=6),
    "orthogonal": lambda: OrthogonalElman(INPUT, HIDDEN),
    "orthogonal linear": lambda: OrthogonalElman(INPUT, HIDDEN, "linear", "matrix_exp"),
    "modrelu": lambda: OrthogonalModReLU(INPUT, HIDDEN),
    "min gru": lambda: MinGRU(INPUT, HIDDEN),
    "feed forward": lambda: FeedForward(INPUT, HIDDEN),
    "jordan": lambda: Jordan(INPUT, HIDDEN, "sigmoid"),
}
OPERATED = [
    *(name for name in CELLS if name.startswith(("skip", "dilated", "batch norm input", "min"))),
    *("orthogonal", "orthogonal linear"),
]
BY_BATCH = [name for name in CELLS if name.startswith("batch norm")]

pytestmark = pytest.mark.usefixtures("double")


def build(name: str, training: bool = False) -> Cell[Any]:
    """A cell with parameters that show; one with statistics of batches has seen some."""
    cell = CELLS[name]()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    if name in BY_BATCH:
        for _ in range(3):
            scan(cell, 1 + 2 * torch.randn(TIME, BATCH, INPUT), lengths=LENGTHS)
    return cell.train(training)


def random_state(cell: Cell[Any], batch: int = BATCH) -> Any:
    """A state in the middle of sequences: counters that count, random features."""
    state = cell.initial_state(batch)
    return type(state)(*(torch.randn_like(x) if x.is_floating_point() else x + 3 for x in state))


def rows(state: Any, which: Any) -> Any:
    return type(state)(*(field[which] for field in state))


def results(cell: Cell[Any], inputs: Tensor, state: Any, *options: Any) -> dict[str, Tensor]:
    """Outputs, final states and all gradients of one function of both."""
    inputs = inputs.detach().requires_grad_()
    fields = [x.detach().requires_grad_() if x.is_floating_point() else x for x in state]
    cell.zero_grad()
    outputs, final = scan(cell, inputs, type(state)(*fields), *options)
    parts = [x for x in (outputs, *final) if x.is_floating_point()]
    sum((x * torch.linspace(-1, 2, x.numel()).reshape(x.shape).cos()).sum() for x in parts).backward()
    found = {"outputs": outputs, "grad inputs": inputs.grad}
    found |= {f"final {name}": field for name, field in final._asdict().items()}
    found |= {f"grad initial {i}": x.grad for i, x in enumerate(fields) if x.grad is not None}
    found |= {f"grad {name}": parameter.grad.clone() for name, parameter in cell.named_parameters()}
    return found


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for key in expected:
        torch.testing.assert_close(
            found[key], expected[key], rtol=1e-9, atol=1e-10, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_a_sequence_is_the_same_alone_and_padded(name: str, reverse: bool) -> None:
    cell, inputs = build(name), torch.randn(TIME, BATCH, INPUT)
    state = random_state(cell)
    for b, length in enumerate(LENGTHS.tolist()):
        inputs[length:, b] = torch.nan
    outputs, final = scan(cell, inputs, state, LENGTHS, reverse)
    for b, length in enumerate(LENGTHS.tolist()):
        one = inputs[:length, b : b + 1]
        expected, end = scan(cell, one.flip(0) if reverse else one, rows(state, slice(b, b + 1)))
        torch.testing.assert_close(outputs[:length, b : b + 1], expected.flip(0) if reverse else expected)
        assert outputs[length:, b].eq(0).all()
        for found, wanted in zip(rows(final, slice(b, b + 1)), end, strict=True):
            torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_padding_has_no_gradient(name: str, reverse: bool) -> None:
    cell, inputs = build(name, training=True), torch.randn(TIME, BATCH, INPUT)
    before = {key: value.clone() for key, value in cell.state_dict().items()}
    state = random_state(cell)
    expected = results(cell, inputs, state, LENGTHS, reverse)
    after = {key: value.clone() for key, value in cell.state_dict().items()}
    cell.load_state_dict(before)
    for b, length in enumerate(LENGTHS.tolist()):
        inputs[length:, b] = torch.inf
        assert expected["grad inputs"][length:, b].eq(0).all()
    assert_same(results(cell, inputs, state, LENGTHS, reverse), expected)
    # Nor do the statistics of batches see it.
    torch.testing.assert_close(dict(cell.state_dict()), after)
    assert (name in BY_BATCH) == any(not torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("chunk", [1, 2, 5])
@pytest.mark.parametrize("name", CELLS)
def test_chunks_with_a_carried_state_equal_the_whole(name: str, chunk: int) -> None:
    cell, inputs = build(name), torch.randn(TIME, BATCH, INPUT)
    expected, final = scan(cell, inputs)
    state, outputs = None, []
    for part in inputs.split(chunk):
        output, state = scan(cell, part, state)
        outputs.append(output)
    torch.testing.assert_close(torch.cat(outputs), expected)
    for found, wanted in zip(state, final, strict=True):
        torch.testing.assert_close(found, wanted)


@pytest.mark.parametrize("name", CELLS)
def test_nan_stays_in_its_sequence(name: str) -> None:
    cell, inputs = build(name), torch.randn(TIME, BATCH, INPUT)
    expected, _ = scan(cell, inputs)
    inputs[2, 1] = torch.nan
    outputs, _ = scan(cell, inputs)
    assert outputs[2:, 1].isnan().any()
    others = [0, 2, 3]
    torch.testing.assert_close(outputs[:, others], expected[:, others])


@pytest.mark.parametrize("name", CELLS)
def test_state_dict_says_all(name: str) -> None:
    cell, inputs = build(name), torch.randn(TIME, BATCH, INPUT)
    file = io.BytesIO()
    torch.save(cell.state_dict(), file)
    file.seek(0)
    other = CELLS[name]().eval()
    other.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(scan(cell, inputs)[0], scan(other, inputs)[0])


@pytest.mark.filterwarnings("error:There is a performance drop")
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_stacked_trials_equal_trials_alone(name: str, reverse: bool, lengths: Tensor | None) -> None:
    class Scanned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = build(name, training=True)

        def forward(self, x: Tensor) -> Tensor:
            outputs, final = scan(self.cell, x, lengths=lengths, reverse=reverse)
            return outputs.sin().sum() + final[0].cos().sum()

    models = [Scanned() for _ in range(3)]
    inputs = torch.randn(TIME, BATCH, INPUT)
    values, buffers = stack_module_state(models)
    for _ in range(2):
        for value in values.values():
            value.grad = None
        losses = vmap(lambda v, b: functional_call(models[0], {**v, **b}, (inputs,)))(values, buffers)
        losses.sum().backward()
        for k, model in enumerate(models):
            model.zero_grad()
            loss = model(inputs)
            loss.backward()
            torch.testing.assert_close(losses[k], loss)
            for key, parameter in model.named_parameters():
                torch.testing.assert_close(values[key].grad[k], parameter.grad, msg=key)
    for k, model in enumerate(models):
        for key, buffer in model.named_buffers():
            torch.testing.assert_close(buffers[key][k], buffer, msg=key)


@pytest.mark.parametrize("path", ["native", "fused", "wide"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("time", [TIME, 1, 2, 33])
@pytest.mark.parametrize("name", OPERATED)
def test_operators_equal_the_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, time: int, padded: bool, reverse: bool, path: str
) -> None:
    cell, inputs = build(name), torch.randn(time, BATCH, INPUT)
    state, lengths = random_state(cell), torch.randint(1, time + 1, (BATCH,)) if padded else None
    if path != "native":
        monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    elif native.unavailable() is not None:
        pytest.skip(f"{native.unavailable()}")
    if path == "wide":
        # One step at a time, as for large batches.
        monkeypatch.setattr(min_gru, "_WIDE", 0)
    taken = implementation(cell, inputs, lengths).name
    assert taken == "loop" if "linear" in name and padded else taken != "loop"
    found = results(cell, inputs, state, lengths, reverse)
    loop = Choice("loop", reference.run, "")
    monkeypatch.setattr(interface, "implementation", lambda *_: loop)
    assert_same(found, results(cell, inputs, state, lengths, reverse))


@pytest.mark.parametrize("name", ["dilated", "dilated relu"])
def test_dilated_recurrences_are_native(name: str) -> None:
    if native.unavailable() is not None:
        pytest.skip(f"{native.unavailable()}")
    assert implementation(build(name), torch.randn(TIME, BATCH, INPUT), LENGTHS).name == "native"


def test_min_gru_in_float32_over_many_steps() -> None:
    """Neither sums of logarithms nor divisions: gates near 0 and 1 lose nothing."""
    cell = MinGRU(1, HIDDEN).float()
    with torch.no_grad():
        cell.weight_input.copy_(torch.tensor([[30.0]] * HIDDEN + [[1.0]] * HIDDEN))
        cell.bias.zero_()
    inputs = torch.randn(2000, 2, 1).float()
    outputs, _ = scan(cell, inputs)
    h = torch.zeros(2, HIDDEN, dtype=torch.float64)
    for t, projected in enumerate(cell.project(inputs).double()):
        gate, candidate = projected.chunk(2, -1)
        h = (1 - gate.sigmoid()) * h + gate.sigmoid() * candidate
        torch.testing.assert_close(outputs[t].double(), h, rtol=1e-4, atol=1e-5)


def test_a_parametrised_matrix_is_computed_once_a_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    cayley = torch.linalg.solve
    monkeypatch.setattr(torch.linalg, "solve", lambda *a: calls.append(1) or cayley(*a))
    cell = build("modrelu")
    calls.clear()
    scan(cell, torch.randn(TIME, BATCH, INPUT))
    assert len(calls) == 1
    with torch.no_grad():
        before = cell.weight_recurrent
        cell.get_parameter("parametrizations.weight_recurrent.original")[2, 1] += 0.5
    assert not torch.equal(cell.weight_recurrent, before)


@pytest.mark.parametrize(
    ("build_one", "sentence"),
    [
        (
            lambda: Clockwork(3, 7, (1, 2)),
            "Clockwork: hidden_size is 7; it must be a multiple of 2, the number of periods.",
        ),
        (
            lambda: Clockwork(3, 6, (2, 1)),
            r"Clockwork: periods is \[2, 1\]; they must rise, from at least 1.",
        ),
        (
            lambda: Clockwork(3, 6, (0, 1)),
            r"Clockwork: periods is \[0, 1\]; they must rise, from at least 1.",
        ),
        (lambda: Clockwork(3, 6, ()), r"Clockwork: periods is \[\]; they must rise, from at least 1."),
        (lambda: Skip(3, 6, (0,)), r"Skip: delays is \[0\]; they must rise, from at least 1."),
        (lambda: Skip(3, 6, (3, 3)), r"Skip: delays is \[3, 3\]; they must rise, from at least 1."),
        (
            lambda: DeepTransition(3, 6, transition_layers=1, shortcut=True),
            "DeepTransition: transition_layers is 1; it must be at least 2, as a shortcut passes",
        ),
        (
            lambda: DeepTransition(3, 6, input_layers=0),
            r"DeepTransition: input_layers is 0; it must be at least 1\.",
        ),
        (lambda: DeepTransition(3, 6, output_layers=-1), "output_layers is -1; it must be at least 0."),
        (lambda: LayerNormElman(3, 1), "LayerNormElman: hidden_size is 1; it must be at least 2"),
        (lambda: BatchNormLSTM(3, 6, steps=0), "BatchNormLSTM: steps is 0; it must be at least 1."),
        (
            lambda: scan(BatchNormLSTM(3, 6), torch.randn(5, 1, 3)),
            "BatchNormLSTM: the batch is 1 sequence; training takes 2 or more",
        ),
        (
            lambda: scan(Clockwork(3, 4), torch.randn(5, 1, 2)),
            r"^Clockwork: the inputs have shape \(5, 1, 2\)",
        ),
        (lambda: MinGRU(3, 0), "MinGRU: hidden_size is 0; it must be at least 1."),
    ],
)
def test_what_makes_no_sense_is_refused(build_one: Callable[[], Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        build_one()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_gates_saturate_at_any_size(kind: type[Cell[Any]], dtype: torch.dtype) -> None:
    """From the smallest number to beyond where e^x is infinite, and on all sides of there."""
    end = 120 if dtype == torch.float32 else 760
    near = torch.linspace(0.7 * end, end, 4000, dtype=dtype)
    values = torch.cat([-near, torch.linspace(-end, end, 1001, dtype=dtype), near])
    cell = kind(1, 1).to(dtype)
    for parameter in cell.parameters():
        nn.init.zeros_(parameter)
    nn.init.ones_(cell.weight_input)
    found = results(cell, values.reshape(1, -1, 1), cell.initial_state(len(values)))
    projected = cell.project(values.unsqueeze(-1))
    expected = cell.output(cell.step(projected, cell.initial_state(len(values))))
    torch.testing.assert_close(found["outputs"][0], expected, rtol=1e-5, atol=1e-6)
    for key, value in found.items():
        assert value.isfinite().all(), key
