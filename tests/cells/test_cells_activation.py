"""Activations by name: which are elementwise, and what is refused."""

import math
from collections.abc import Callable

import pytest
import torch

from lit_seq.cells import Elman, Leaky
from lit_seq.cells.activation import activate, checked


@pytest.mark.parametrize(
    ("name", "phi"),
    [
        ("linear", lambda x: x),
        ("tanh", math.tanh),
        ("relu", lambda x: max(x, 0.0)),
        ("leaky_relu", lambda x: x if x > 0 else 0.01 * x),
        ("sigmoid", lambda x: 1 / (1 + math.exp(-x))),
        ("elu", lambda x: x if x > 0 else math.expm1(x)),
        ("softplus", lambda x: math.log1p(math.exp(x))),
        ("silu", lambda x: x / (1 + math.exp(-x))),
        ("gelu", lambda x: x * (1 + math.erf(x / math.sqrt(2))) / 2),
        ("softsign", lambda x: x / (1 + abs(x))),
        ("hardtanh", lambda x: max(-1.0, min(1.0, x))),
        ("sin", math.sin),
        ("square", lambda x: x * x),
    ],
)
def test_by_name(name: str, phi: Callable[[float], float]) -> None:
    points = torch.linspace(-5, 5, 21, dtype=torch.float64)
    found = activate(points, checked("Elman", name))
    assert found.tolist() == pytest.approx([phi(x) for x in points.tolist()], abs=1e-14)


@pytest.mark.parametrize("kind", [Elman, Leaky])
@pytest.mark.parametrize(
    "name",
    [
        "thanh",
        "softmax",
        "log_softmax",
        "normalize",
        "dropout",
        "glu",
        "prelu",
        "layer_norm",
        "cumsum",
        "sort",
        "msort",
        "triu",
        "sum",
        "zeros_like",
        "rand_like",
        "log",
        "sqrt",
        "reciprocal",
        "relu_",
        "Tensor",
        "nn",
        "",
    ],
)
def test_what_is_not_elementwise_is_refused(kind: type, name: str, recwarn: pytest.WarningsRecorder) -> None:
    sentence = f"^{kind.__name__}: activation is {name!r}; it must be linear or a differentiable function of "
    with pytest.raises(ValueError, match=sentence):
        kind(3, 4, activation=name)
    assert not list(recwarn)


def test_the_check_draws_nothing_and_works_without_gradients() -> None:
    before = torch.get_rng_state()
    with torch.no_grad():
        checked("Elman", "mish")
    assert torch.equal(torch.get_rng_state(), before)
