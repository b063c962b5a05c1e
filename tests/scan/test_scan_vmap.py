"""Scans under torch.func: stacked trials equal the trials alone, and do not touch one another."""

from typing import Any

import pytest
import torch
from scanned import Scanned
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap

from lit_seq.cells import GRU, LSTM, Elman, Leaky
from lit_seq.scan import implementation, native, scan

CELLS = {
    "tanh": lambda: Elman(3, 5),
    "relu": lambda: Elman(3, 5, "relu"),
    "sigmoid": lambda: Elman(3, 5, "sigmoid", bias=False),
    "softsign": lambda: Elman(3, 5, "softsign"),
    "leaky": lambda: Leaky(3, 5, [0.7, 0.1]),
    "leaky, learned": lambda: Leaky(3, 5, learned=True, activation="relu"),
    "leaky with gelu": lambda: Leaky(3, 5, 0.3, learned=True, activation="gelu"),
    "lstm": lambda: LSTM(3, 5),
    "peepholes": lambda: LSTM(3, 5, peepholes=True),
    "coupled": lambda: LSTM(3, 5, coupled=True),
    "coupled peepholes": lambda: LSTM(3, 5, coupled=True, peepholes=True),
    "gru": lambda: GRU(3, 5),
    "reset before": lambda: GRU(3, 5, "before"),
}
LOOP = ("softsign", "leaky with gelu")
FUSED = ("sigmoid", "peepholes", "coupled peepholes", "reset before")


@pytest.fixture(autouse=True, params=["native", "fused"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run each test with and without the native operators."""
    if request.param == "fused":
        monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    elif native.unavailable() is not None:
        pytest.skip(f"{native.unavailable()}")
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield request.param
    torch.set_default_dtype(torch.float32)


def build(name: str, trials: int) -> list[Scanned]:
    models = [Scanned(CELLS[name]()) for _ in range(trials)]
    for model in models:
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.5)
    return models


def weighed(outputs: tuple[Tensor, ...]) -> Tensor:
    """A scalar in which every output has a weight of its own."""
    return sum((x * torch.linspace(-1, 2, x.numel()).reshape(x.shape).cos()).sum() for x in outputs)


@pytest.mark.parametrize("trials", [1, 3, 8])
@pytest.mark.parametrize("mapped", ["nothing", "inputs", "inputs, state and lengths", "padding without map"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("name", CELLS)
def test_stacked_trials_equal_trials_alone(
    path: str, name: str, reverse: bool, mapped: str, trials: int
) -> None:
    models = build(name, trials)
    width = len(models[0].cell.state_type._fields)
    own = mapped.startswith("inputs")
    inputs = torch.randn(*((trials,) if own else ()), 6, 4, 3, requires_grad=True)
    parts, lengths, dims = [None] * width, None, (0 if own else None, None, None)
    if "state" in mapped:
        # The mapped dimension need not be the first.
        parts = [torch.randn(4, trials, 5, requires_grad=True) for _ in range(width)]
        lengths, dims = torch.randint(1, 7, (trials, 4)), (0, 1, 0)
    elif "padding" in mapped:
        lengths = torch.randint(1, 7, (4,))

    def state_of(parts: Any) -> Any:
        return None if parts[0] is None else models[0].cell.state_type(*parts)

    def alone(k: int, x: Tensor) -> Tensor:
        state = state_of([None if p is None else p[:, k] for p in parts])
        return weighed(models[k](x, state, lengths[k] if dims[2] == 0 else lengths, reverse))

    def together(values: dict[str, Tensor], x: Tensor, parts: Any, lengths: Any) -> Tensor:
        choice = implementation(models[0].cell, x, lengths)
        assert choice.name == ("loop" if name in LOOP else "fused" if name in FUSED else path)
        return weighed(functional_call(models[0], values, (x, state_of(parts), lengths, reverse)))

    leaves = [inputs, *(p for p in parts if p is not None)]
    expected_losses = torch.stack([alone(k, inputs[k] if own else inputs) for k in range(trials)])
    expected = torch.autograd.grad(expected_losses.sum(), leaves)
    for model in models:
        model.zero_grad()
    values, _ = stack_module_state(models)
    losses = vmap(together, in_dims=(0, *dims))(values, inputs, parts, lengths)
    losses.sum().backward()
    torch.testing.assert_close(losses, expected_losses, rtol=1e-10, atol=1e-10)
    for leaf, gradient in zip(leaves, expected, strict=True):
        torch.testing.assert_close(leaf.grad, gradient, rtol=1e-10, atol=1e-10)
    for k, model in enumerate(models):
        alone(k, (inputs[k] if own else inputs).detach()).backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(values[key].grad[k], parameter.grad, rtol=1e-10, atol=1e-10, msg=key)


@pytest.mark.parametrize("name", CELLS)
def test_nan_stays_in_its_trial(name: str) -> None:
    models = build(name, 3)
    inputs = torch.randn(6, 4, 3)

    def gradients(spoilt: bool) -> dict[str, Tensor]:
        values, _ = stack_module_state(models)
        if spoilt:
            with torch.no_grad():
                values["cell.weight_recurrent"][1] = torch.nan
        losses = vmap(lambda v: weighed(functional_call(models[0], v, (inputs,))))(values)
        losses.sum().backward()
        return {"loss": losses.detach(), **{key: value.grad for key, value in values.items()}}

    clean, spoilt = gradients(False), gradients(True)
    assert spoilt["loss"][1].isnan()
    for key in clean:
        for k in (0, 2):
            assert torch.equal(clean[key][k], spoilt[key][k]), key


@pytest.mark.parametrize("name", CELLS)
def test_layers_stack(name: str) -> None:
    """Two layers and a reverse direction under one vmap: operators feed operators."""

    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lower, self.upper = CELLS[name](), CELLS[name]()
            self.bridge = nn.Linear(5, 3)

        def forward(self, x: Tensor) -> Tensor:
            y, _ = scan(self.lower, x, reverse=True)
            return weighed((scan(self.upper, self.bridge(y))[0],))

    models = [Two() for _ in range(3)]
    values, _ = stack_module_state(models)
    x = torch.randn(5, 4, 3)
    vmap(lambda v: functional_call(models[0], v, (x,)))(values).sum().backward()
    for k, model in enumerate(models):
        model(x).backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(values[key].grad[k], parameter.grad, rtol=1e-10, atol=1e-10, msg=key)


@pytest.mark.parametrize("name", CELLS)
def test_other_transforms_take_the_loop(name: str) -> None:
    """torch.func.grad, alone and under vmap, and vmap in vmap."""
    models = build(name, 2)
    x = torch.randn(4, 3, 3)
    values, _ = stack_module_state(models)

    def loss(v: dict[str, Tensor], x: Tensor) -> Tensor:
        assert implementation(models[0].cell, x).name == "loop"
        return weighed(functional_call(models[0], v, (x,)))

    found = vmap(grad(loss), in_dims=(0, None))(values, x)
    for k, model in enumerate(models):
        weighed(model(x)).backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(found[key][k], parameter.grad, rtol=1e-10, atol=1e-10, msg=key)
    pair = torch.stack([x, -x])
    nested = vmap(vmap(loss, in_dims=(None, 0)), in_dims=(0, None))(values, pair)
    expected = torch.stack([torch.stack([weighed(model(y)) for y in pair]) for model in models])
    torch.testing.assert_close(nested, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CELLS)
def test_one_cell_over_mapped_inputs(name: str) -> None:
    (model,) = build(name, 1)
    inputs = torch.randn(3, 6, 4, 3)
    losses = vmap(lambda x: weighed(model(x)))(inputs)
    found = torch.autograd.grad(losses.sum(), list(model.parameters()))
    expected = torch.autograd.grad(sum(weighed(model(x)) for x in inputs), list(model.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", CELLS)
def test_stacked_trials_equal_trials_alone_on_the_gpu(name: str) -> None:
    models = [model.cuda() for model in build(name, 3)]
    x, lengths = torch.randn(6, 4, 3, device="cuda"), torch.tensor([6, 1, 3, 6], device="cuda")
    values, _ = stack_module_state(models)

    def loss(outputs: tuple[Tensor, ...]) -> Tensor:
        return sum(part.sin().sum() for part in outputs)

    vmap(lambda v: loss(functional_call(models[0], v, (x, None, lengths))))(values).sum().backward()
    for k, model in enumerate(models):
        loss(model(x, None, lengths)).backward()
        for key, parameter in model.named_parameters():
            torch.testing.assert_close(values[key].grad[k], parameter.grad, rtol=1e-10, atol=1e-10, msg=key)
