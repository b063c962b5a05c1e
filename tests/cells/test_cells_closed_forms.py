"""What the lectures derive by hand, in numpy, against autograd through a scan: equal to 1e-10."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lit_seq.cells import Elman, HiddenState
from lit_seq.scan import Choice, interface, native, reference, scan
from lit_seq.scan.choice import NATIVE, OPERATORS

TIME, BATCH, INPUT, HIDDEN, CLASSES = 12, 3, 4, 6, 5
pytestmark = pytest.mark.usefixtures("double")
compiled = pytest.mark.skipif(native.unavailable() is not None, reason=f"{native.unavailable()}")
RUNS = {"loop": reference.run, "fused": OPERATORS[Elman.step], "native": NATIVE[Elman.step]}


@pytest.fixture(params=["loop", "fused", pytest.param("native", marks=compiled)])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    choice = Choice(request.param, RUNS[request.param], "")
    monkeypatch.setattr(interface, "implementation", lambda *_: choice)
    torch.manual_seed(0)
    return request.param


def build(activation: str) -> Elman:
    cell = Elman(INPUT, HIDDEN, activation)
    for parameter in cell.parameters():
        nn.init.normal_(parameter, std=0.4)
    return cell


def same(found: Tensor, expected: Any) -> None:
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-10, atol=1e-10)


def test_a_linear_network_multiplies_by_a_power_of_its_matrix(path: str) -> None:
    """h_T = U^T h_0 + Σ_t U^(T-t) (W x_t + b), and ∂h_T/∂h_0 = U^T (Goodfellow et al., eqs. 10.36–10.38)."""
    if path == "native":
        pytest.skip("has no linear φ")
    cell, inputs = build("linear"), torch.randn(TIME, BATCH, INPUT)
    h_0 = torch.randn(BATCH, HIDDEN)
    u, w, b = (x.detach().numpy() for x in (cell.weight_recurrent, cell.weight_input, cell.bias))
    power = np.linalg.matrix_power
    expected = h_0.numpy() @ power(u, TIME).T
    for t, x in enumerate(inputs.numpy(), 1):
        expected += (x @ w.T + b) @ power(u, TIME - t).T
    same(scan(cell, inputs, HiddenState(h_0))[1].h, expected)
    jacobian = torch.autograd.functional.jacobian(
        lambda h: scan(cell, inputs[:, :1], HiddenState(h[None]))[1].h[0], h_0[0]
    )
    same(jacobian, power(u, TIME))
    eigenvalues, q = np.linalg.eig(u)
    same(jacobian, (q @ np.diag(eigenvalues**TIME) @ np.linalg.inv(q)).real)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_the_jacobian_over_many_steps_is_a_product(path: str, activation: str) -> None:
    """∂h_T/∂h_0 = Π_t diag(φ'(a_t)) U (Pascanu, Mikolov & Bengio 2013, eq. 5)."""
    cell, inputs = build(activation), torch.randn(TIME, 1, INPUT)
    h_0 = torch.randn(HIDDEN)
    u, w, b = (x.detach().numpy() for x in (cell.weight_recurrent, cell.weight_input, cell.bias))
    product, h = np.eye(HIDDEN), h_0.numpy()
    for x in inputs[:, 0].numpy():
        a = w @ x + b + u @ h
        h = np.tanh(a) if activation == "tanh" else np.maximum(a, 0)
        slope = 1 - h**2 if activation == "tanh" else (a > 0).astype(float)
        product = np.diag(slope) @ u @ product
    jacobian = torch.autograd.functional.jacobian(
        lambda h: scan(cell, inputs, HiddenState(h[None]))[1].h[0], h_0
    )
    same(jacobian, product)


def test_backpropagation_through_time_in_matrix_form(path: str) -> None:
    """Goodfellow et al., eqs. 10.17–10.28, of one sequence with a softmax output at each step."""
    cell, head = build("tanh"), nn.Linear(HIDDEN, CLASSES)
    inputs, targets = torch.randn(TIME, 1, INPUT), torch.randint(CLASSES, (TIME,))
    start = torch.randn(1, HIDDEN, requires_grad=True)
    outputs, _ = scan(cell, inputs, HiddenState(start))
    F.cross_entropy(head(outputs[:, 0]), targets, reduction="sum").backward()

    u, w, b = (x.detach().numpy() for x in (cell.weight_recurrent, cell.weight_input, cell.bias))
    v, c = head.weight.detach().numpy(), head.bias.detach().numpy()
    h, xs = [start.detach().numpy()[0]], inputs[:, 0].numpy()
    for x in xs:
        h.append(np.tanh(b + u @ h[-1] + w @ x))
    to_o = []
    for t, y in enumerate(targets, 1):
        o = c + v @ h[t]
        y_hat = np.exp(o) / np.exp(o).sum()
        to_o.append(y_hat - np.eye(CLASSES)[y])  # 10.18
    to_h = [np.zeros(HIDDEN)] * (TIME + 1)
    to_h[TIME] = v.T @ to_o[-1]  # 10.19
    for t in range(TIME - 1, -1, -1):
        to_h[t] = u.T @ np.diag(1 - h[t + 1] ** 2) @ to_h[t + 1]  # 10.21, and v.T @ to_o where there is an o
        if t > 0:
            to_h[t] = to_h[t] + v.T @ to_o[t - 1]
    steps = range(1, TIME + 1)
    deltas = [np.diag(1 - h[t] ** 2) @ to_h[t] for t in steps]
    same(head.bias.grad, sum(to_o))  # 10.22
    same(head.weight.grad, sum(np.outer(to_o[t - 1], h[t]) for t in steps))  # 10.24
    same(cell.bias.grad, sum(deltas))  # 10.23
    same(cell.weight_recurrent.grad, sum(np.outer(deltas[t - 1], h[t - 1]) for t in steps))  # 10.26
    same(cell.weight_input.grad, sum(np.outer(deltas[t - 1], xs[t - 1]) for t in steps))  # 10.28
    same(start.grad[0], to_h[0])


def test_backpropagation_through_time_as_one_linear_system(path: str) -> None:
    """With all steps in one vector h, dL/dh = (I - Jᵀ)⁻¹ ∂L/∂h; J has diag(1 - h_t²) U below its diagonal."""
    cell, inputs = build("tanh"), torch.randn(TIME, 1, INPUT)
    direct = torch.randn(TIME, HIDDEN)
    outputs, _ = scan(cell, inputs)
    (outputs[:, 0] * direct).sum().backward()
    h, u = outputs[:, 0].detach().numpy(), cell.weight_recurrent.detach().numpy()
    j = np.zeros((TIME, HIDDEN, TIME, HIDDEN))
    for t in range(1, TIME):
        j[t, :, t - 1, :] = (1 - h[t] ** 2)[:, None] * u
    size = TIME * HIDDEN
    total = np.linalg.solve(np.eye(size) - j.reshape(size, size).T, direct.numpy().flatten())
    deltas = (1 - h**2) * total.reshape(TIME, HIDDEN)
    before = np.concatenate([np.zeros((1, HIDDEN)), h[:-1]])
    same(cell.weight_recurrent.grad, deltas.T @ before)
    same(cell.weight_input.grad, deltas.T @ inputs[:, 0].numpy())
    same(cell.bias.grad, deltas.sum(0))
