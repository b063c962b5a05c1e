"""One step of each cell, worked out by hand, and the command line's view of the constructors."""

import math
from collections.abc import Callable
from typing import Any

import jsonargparse
import pytest
import torch
from torch import nn

from lit_seq.cells import GRU, LSTM, Cell, Elman, HiddenState, Leaky, LSTMState


def sigma(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def exact(values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def constant(cell: Any, **values: float) -> Any:
    """Set whole parameters to one value each."""
    cell = cell.double()
    for name, parameter in cell.named_parameters():
        nn.init.constant_(parameter, values.get(name, 0.0))
    return cell


@pytest.mark.parametrize(
    ("activation", "phi"),
    [
        ("tanh", math.tanh),
        ("relu", lambda x: max(x, 0.0)),
        ("sigmoid", sigma),
        ("linear", lambda x: x),
        ("leaky_relu", lambda x: x if x > 0 else 0.01 * x),
        ("softplus", lambda x: math.log1p(math.exp(x))),
    ],
)
@pytest.mark.parametrize("bias", [0.25, -2.0])
def test_elman(activation: Any, phi: Callable[[float], float], bias: float) -> None:
    cell = constant(Elman(2, 2, activation), weight_input=0.5, weight_recurrent=0.1, bias=bias)
    x = exact([[1.0, 2.0]])
    # W x = .5 · (1 + 2) = 1.5; U h = .1 · (.2 + .4) = .06
    state = cell.step(cell.project(x), HiddenState(exact([[0.2, 0.4]])))
    assert state.h[0].tolist() == pytest.approx([phi(1.5 + 0.06 + bias)] * 2, abs=1e-15)


def test_lstm() -> None:
    cell = constant(LSTM(1, 1), weight_input=1.0, weight_recurrent=2.0)
    with torch.no_grad():
        cell.bias.copy_(exact([0.1, 0.2, 0.3, 0.4]))
    state = LSTMState(exact([[0.5]]), exact([[-0.7]]))
    h, c = cell.step(cell.project(exact([[0.25]])), state)
    # W x + U h = .25 + 1 in every gate.
    expected = sigma(1.45) * -0.7 + sigma(1.35) * math.tanh(1.55)
    assert c.item() == pytest.approx(expected, abs=1e-15)
    assert h.item() == pytest.approx(sigma(1.65) * math.tanh(expected), abs=1e-15)


def test_lstm_with_peepholes() -> None:
    cell = constant(LSTM(1, 1, peepholes=True), weight_input=1.0, weight_recurrent=2.0)
    with torch.no_grad():
        cell.weight_peephole.copy_(exact([1.0, 2.0, 3.0]))
    state = LSTMState(exact([[0.5]]), exact([[-0.7]]))
    h, c = cell.step(cell.project(exact([[0.25]])), state)
    # The input and the forget gate see the old c, the output gate the new one.
    expected = sigma(1.25 - 1.4) * -0.7 + sigma(1.25 - 0.7) * math.tanh(1.25)
    assert c.item() == pytest.approx(expected, abs=1e-15)
    assert h.item() == pytest.approx(sigma(1.25 + 3 * expected) * math.tanh(expected), abs=1e-15)


@pytest.mark.parametrize("peepholes", [False, True])
def test_lstm_with_coupled_gates(peepholes: bool) -> None:
    cell = constant(LSTM(1, 1, peepholes=peepholes, coupled=True), weight_input=1.0, weight_recurrent=2.0)
    p_f, p_o = (2.0, 3.0) if peepholes else (0.0, 0.0)
    with torch.no_grad():
        cell.bias.copy_(exact([0.2, 0.3, 0.4]))
        if peepholes:
            cell.weight_peephole.copy_(exact([p_f, p_o]))
    h, c = cell.step(cell.project(exact([[0.25]])), LSTMState(exact([[0.5]]), exact([[-0.7]])))
    f = sigma(1.45 - 0.7 * p_f)
    expected = f * -0.7 + (1 - f) * math.tanh(1.55)
    assert c.item() == pytest.approx(expected, abs=1e-15)
    assert h.item() == pytest.approx(sigma(1.65 + p_o * expected) * math.tanh(expected), abs=1e-15)


def test_gru_with_reset_before_the_product() -> None:
    cell = constant(GRU(2, 2, "before"), weight_input=1.0)
    with torch.no_grad():
        cell.weight_recurrent.copy_(exact([[1.0, 0], [0, 0], [0, 0], [0, 0], [0, 2.0], [3.0, 0]]))
    (h,) = cell.step(cell.project(exact([[0.25, 0.0]])), HiddenState(exact([[0.5, -1.0]])))
    # U_n swaps the units, so that each candidate sees the other unit with the other unit's reset gate.
    r, z = [sigma(0.75), sigma(0.25)], sigma(0.25)
    n = [math.tanh(0.25 + 2 * r[1] * -1.0), math.tanh(0.25 + 3 * r[0] * 0.5)]
    assert h[0].tolist() == pytest.approx([(1 - z) * n[0] + z * 0.5, (1 - z) * n[1] - z], abs=1e-15)


def test_leaky_units() -> None:
    cell = constant(Leaky(1, 2, [0.5, 0.125]), weight_input=1.0, weight_recurrent=2.0, bias=0.1)
    (h,) = cell.step(cell.project(exact([[0.25]])), HiddenState(exact([[0.5, -0.25]])))
    # W x + b + U h = .25 + .1 + .5
    expected = [0.5 * 0.5 + 0.5 * math.tanh(0.85), 0.875 * -0.25 + 0.125 * math.tanh(0.85)]
    assert h[0].tolist() == pytest.approx(expected, abs=1e-15)


def test_gru() -> None:
    cell = constant(GRU(1, 1), weight_input=1.0, weight_recurrent=2.0)
    with torch.no_grad():
        cell.bias.copy_(exact([0.1, 0.2, 0.3]))
    (h,) = cell.step(cell.project(exact([[0.25]])), HiddenState(exact([[0.5]])))
    r, z = sigma(1.35), sigma(1.45)
    n = math.tanh(0.55 + r * 1.0)
    assert h.item() == pytest.approx((1 - z) * n + z * 0.5, abs=1e-15)


def fit(cell: Callable[[int, int], Cell]) -> None:
    """What a core's constructor looks like to the parser."""


@pytest.mark.parametrize("kind", [Elman, LSTM, GRU, Leaky])
def test_the_command_line_sees_the_options(kind: type[Cell[Any]]) -> None:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(fit)
    words = [
        "--cell",
        f"lit_seq.cells.{kind.__name__}",
        "--cell.recurrent_init",
        "identity",
        "--cell.bias",
        "false",
    ]
    cell = parser.instantiate(parser.parse_args(words)).cell(3, 4)
    assert type(cell) is kind
    assert (cell.input_size, cell.hidden_size, cell.bias) == (3, 4, None)
    assert torch.equal(cell.weight_recurrent[:4], torch.eye(4))
    with pytest.raises(jsonargparse.ArgumentError, match="identity"):
        parser.parse_args([*words[:3], "identify"])


def parsed(*words: str) -> Any:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(fit)
    return parser.instantiate(parser.parse_args(["--cell", *words])).cell(3, 4)


def test_the_command_line_sees_the_variants() -> None:
    cell = parsed("LSTM", "--cell.coupled", "true", "--cell.chrono", "20", "--cell.spectral_radius", "0.5")
    assert cell.weight_recurrent.shape == (12, 4)
    assert parsed("GRU", "--cell.reset", "before").reset == "before"
    assert parsed("Elman", "--cell.activation", "softplus").activation == "softplus"
    assert parsed("Leaky", "--cell.leak", "0.25").leak_rate.tolist() == [0.25] * 4
    assert parsed("Leaky", "--cell.leak", "[0.5, 0.0625]").leak_rate.tolist() == [0.5, 0.25, 0.125, 0.0625]
    assert parsed("Leaky", "--cell.learned", "true").leak_logit.requires_grad


def test_forget_bias_is_an_option_of_the_lstm() -> None:
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_function_arguments(fit)
    found = parser.parse_args(["--cell", "LSTM", "--cell.forget_bias", "3", "--cell.peepholes", "true"])
    cell = parser.instantiate(found).cell(2, 2)
    assert cell.bias.tolist() == [0, 0, 3, 3, 0, 0, 0, 0]
    assert cell.weight_peephole is not None
