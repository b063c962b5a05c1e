"""Scans of each variant against loops written from the papers' equations, in numpy, sequence by sequence."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.scan import scan

INPUT, HIDDEN = 3, 5
Array = np.ndarray[Any, np.dtype[np.float64]]
pytestmark = pytest.mark.usefixtures("double")


def sigma(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def blocks(cell: Any, count: int) -> tuple[list[Array], list[Array], list[Array]]:
    """W, U and b, gate by gate."""
    parameters = (cell.weight_input, cell.weight_recurrent, cell.bias)
    return tuple(np.split(parameter.detach().numpy(), count) for parameter in parameters)  # type: ignore[return-value]


def elman(phi: Callable[[Array], Array]) -> Callable[..., Iterator[Array]]:
    def run(cell: Any, xs: Array) -> Iterator[Array]:
        (w,), (u,), (b,) = blocks(cell, 1)
        h = np.zeros(HIDDEN)
        for x in xs:
            h = phi(w @ x + b + u @ h)
            yield h

    return run


def leaky(
    a: Callable[[Any], Array], phi: Callable[[Array], Array] = np.tanh
) -> Callable[..., Iterator[Array]]:
    def run(cell: Any, xs: Array) -> Iterator[Array]:
        (w,), (u,), (b,) = blocks(cell, 1)
        h, rate = np.zeros(HIDDEN), a(cell)
        for x in xs:
            h = (1 - rate) * h + rate * phi(w @ x + b + u @ h)
            yield h

    return run


def lstm(cell: Any, xs: Array) -> Iterator[Array]:
    (w_i, w_f, w_g, w_o), (u_i, u_f, u_g, u_o), (b_i, b_f, b_g, b_o) = blocks(cell, 4)
    h = c = np.zeros(HIDDEN)
    for x in xs:
        i, f = sigma(w_i @ x + b_i + u_i @ h), sigma(w_f @ x + b_f + u_f @ h)
        g, o = np.tanh(w_g @ x + b_g + u_g @ h), sigma(w_o @ x + b_o + u_o @ h)
        c = f * c + i * g
        h = o * np.tanh(c)
        yield h


def coupled(cell: Any, xs: Array) -> Iterator[Array]:
    """Greff et al. 2017: i and f with f = 1 - i, here by f's own weights."""
    (w_f, w_g, w_o), (u_f, u_g, u_o), (b_f, b_g, b_o) = blocks(cell, 3)
    seen = cell.weight_peephole
    p_f, p_o = np.zeros((2, HIDDEN)) if seen is None else np.split(seen.detach().numpy(), 2)
    h = c = np.zeros(HIDDEN)
    for x in xs:
        i = 1 - sigma(w_f @ x + b_f + u_f @ h + p_f * c)
        c = (1 - i) * c + i * np.tanh(w_g @ x + b_g + u_g @ h)
        h = sigma(w_o @ x + b_o + u_o @ h + p_o * c) * np.tanh(c)
        yield h


def gru(before: bool) -> Callable[..., Iterator[Array]]:
    def run(cell: Any, xs: Array) -> Iterator[Array]:
        (w_r, w_z, w_n), (u_r, u_z, u_n), (b_r, b_z, b_n) = blocks(cell, 3)
        h = np.zeros(HIDDEN)
        for x in xs:
            r, z = sigma(w_r @ x + b_r + u_r @ h), sigma(w_z @ x + b_z + u_z @ h)
            n = np.tanh(w_n @ x + b_n + (u_n @ (r * h) if before else r * (u_n @ h)))
            h = z * h + (1 - z) * n
            yield h

    return run


CASES: dict[str, tuple[Callable[[], Cell[Any]], Callable[..., Iterator[Array]]]] = {
    "tanh": (lambda: Elman(INPUT, HIDDEN), elman(np.tanh)),
    "leaky_relu": (lambda: Elman(INPUT, HIDDEN, "leaky_relu"), elman(lambda x: np.where(x > 0, x, 0.01 * x))),
    "elu": (lambda: Elman(INPUT, HIDDEN, "elu"), elman(lambda x: np.where(x > 0, x, np.expm1(x)))),
    "softplus": (lambda: Elman(INPUT, HIDDEN, "softplus"), elman(lambda x: np.log1p(np.exp(x)))),
    "softsign": (lambda: Elman(INPUT, HIDDEN, "softsign"), elman(lambda x: x / (1 + abs(x)))),
    "sin": (lambda: Elman(INPUT, HIDDEN, "sin"), elman(np.sin)),
    "lstm": (lambda: LSTM(INPUT, HIDDEN), lstm),
    "coupled": (lambda: LSTM(INPUT, HIDDEN, coupled=True), coupled),
    "coupled with peepholes": (lambda: LSTM(INPUT, HIDDEN, coupled=True, peepholes=True), coupled),
    "reset after": (lambda: GRU(INPUT, HIDDEN), gru(before=False)),
    "reset before": (lambda: GRU(INPUT, HIDDEN, "before"), gru(before=True)),
    "leaky": (lambda: Leaky(INPUT, HIDDEN, 0.3), leaky(lambda _: np.full(HIDDEN, 0.3))),
    "leaky, per unit": (
        lambda: Leaky(INPUT, HIDDEN, [0.1, 0.2, 0.3, 0.4, 1.0], activation="relu"),
        leaky(lambda _: np.array([0.1, 0.2, 0.3, 0.4, 1.0]), lambda x: np.maximum(x, 0)),
    ),
    "leaky, learned": (
        lambda: Leaky(INPUT, HIDDEN, learned=True),
        leaky(lambda cell: sigma(cell.leak_logit.detach().numpy())),
    ),
}


def build(name: str) -> Cell[Any]:
    torch.manual_seed(0)
    cell = CASES[name][0]()
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.5)
    return cell


def expected(name: str, cell: Cell[Any], inputs: Tensor, lengths: Tensor | None, reverse: bool) -> Array:
    time, batch, _ = inputs.shape
    outputs = np.zeros((time, batch, HIDDEN))
    for k in range(batch):
        length = time if lengths is None else int(lengths[k])
        xs = inputs[:length, k].numpy()
        ys = np.stack(list(CASES[name][1](cell, xs[::-1] if reverse else xs)))
        outputs[:length, k] = ys[::-1] if reverse else ys
    return outputs


@pytest.mark.parametrize("path", ["as chosen", "without native operators"])
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_a_scan_is_the_papers_loop(
    monkeypatch: pytest.MonkeyPatch, name: str, padded: bool, reverse: bool, path: str
) -> None:
    if path != "as chosen":
        monkeypatch.setenv("LIT_SEQ_NATIVE", "0")
    cell, inputs = build(name), torch.randn(11, 4, INPUT)
    lengths = torch.tensor([11, 1, 6, 3]) if padded else None
    with torch.no_grad():
        outputs, final = scan(cell, inputs, None, lengths, reverse)
    by_hand = expected(name, cell, inputs, lengths, reverse)
    np.testing.assert_allclose(outputs.numpy(), by_hand, rtol=1e-12, atol=1e-12)
    ends = [0] * 4 if reverse else [10] * 4 if lengths is None else (lengths - 1).tolist()
    np.testing.assert_allclose(final[0].numpy(), by_hand[ends, range(4)], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_a_checkpoint_holds_all_of_a_cell(tmp_path: Any, name: str) -> None:
    cell, inputs = build(name), torch.randn(6, 2, INPUT)
    torch.save(cell.state_dict(), tmp_path / "cell.pt")
    other = CASES[name][0]()
    for value in other.state_dict().values():
        value.fill_(0.25)
    other.load_state_dict(torch.load(tmp_path / "cell.pt", weights_only=True))
    assert torch.equal(scan(other, inputs)[0], scan(cell, inputs)[0])
