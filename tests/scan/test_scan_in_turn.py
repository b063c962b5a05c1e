"""Stacked LSTMs without native operators: torch's kernel, trial by trial."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.cells import LSTM
from lit_seq.scan import implementation, scan

TIME, BATCH, FEATURES, HIDDEN = 7, 5, 3, 8
LENGTHS = torch.tensor([7, 1, 4, 7, 2])


@pytest.fixture(autouse=True)
def _no_native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    torch.manual_seed(3)


class Scanned(nn.Module):
    """A cell, as a function of its parameters."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.cell = LSTM(FEATURES, HIDDEN, **options)

    def forward(self, inputs: Tensor, lengths: Tensor | None, reverse: bool) -> Tensor:
        outputs, final = scan(self.cell, inputs, None, lengths, reverse)
        weights = torch.linspace(-1, 2, outputs.numel()).reshape(outputs.shape).cos()
        return (outputs * weights).sum() + final.c.sin().sum() + final.h.sum()


@pytest.mark.parametrize("trials", [1, 3, 8])
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shared", [True, False])
def test_equals_each_trial_alone(
    trials: int, lengths: Tensor | None, reverse: bool, bias: bool, shared: bool
) -> None:
    models = [Scanned(bias=bias) for _ in range(trials)]
    inputs = torch.randn(TIME, BATCH, FEATURES) if shared else torch.randn(trials, TIME, BATCH, FEATURES)
    inputs.requires_grad_()
    parameters, _ = stack_module_state(models)
    function = Scanned(bias=bias)

    def one(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return functional_call(function, values, (x, lengths, reverse))

    together = vmap(one, in_dims=(0, None if shared else 0))(parameters, inputs)
    together.sum().backward()
    of_inputs, inputs.grad = inputs.grad, None
    for k, model in enumerate(models):
        alone = model(inputs if shared else inputs[k], lengths, reverse)
        alone.backward()
        torch.testing.assert_close(together[k], alone, rtol=1e-5, atol=1e-5)
        for name, parameter in model.named_parameters():
            torch.testing.assert_close(parameters[name].grad[k], parameter.grad, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(of_inputs, inputs.grad, rtol=1e-4, atol=1e-5)


def test_is_chosen_for_float32_on_a_cpu() -> None:
    found = []

    def look(x: Tensor) -> Tensor:
        found.append(implementation(cell, x))
        return x

    for dtype in (torch.float32, torch.float64):
        cell = LSTM(FEATURES, HIDDEN).to(dtype)
        vmap(look)(torch.randn(2, TIME, BATCH, FEATURES, dtype=dtype))
    assert [choice.name for choice in found] == ["library", "fused"]
    assert "each core takes a trial" in found[0].reason


def test_without_gradients() -> None:
    models = [Scanned() for _ in range(3)]
    inputs = torch.randn(TIME, BATCH, FEATURES)
    parameters, _ = stack_module_state(models)
    with torch.no_grad():
        together = vmap(lambda values: functional_call(models[0], values, (inputs, None, False)))(parameters)
        alone = torch.stack([model(inputs, None, False) for model in models])
    assert not together.requires_grad
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-5)


def test_nan_stays_in_its_trial() -> None:
    models = [Scanned() for _ in range(3)]
    with torch.no_grad():
        models[1].cell.weight_recurrent[0, 0] = torch.nan
    inputs = torch.randn(TIME, BATCH, FEATURES)
    parameters, _ = stack_module_state(models)
    together = vmap(lambda values: functional_call(models[0], values, (inputs, None, False)))(parameters)
    together.sum().backward()
    assert together.isnan().tolist() == [False, True, False]
    spoilt = parameters["cell.weight_recurrent"].grad.flatten(1).isnan().any(1)
    assert spoilt.tolist() == [False, True, False]
