"""Products of Jacobians and Lyapunov exponents against closed forms."""

import math
from functools import partial

import numpy as np
import pytest
import torch

from lit_seq.cells import GRU, LSTM, Clockwork, Elman, FeedForward, OrthogonalElman, Skip
from lit_seq.cores import Stack
from lit_seq.data import AddingProblem, Batch, Task
from lit_seq.diagnostics import GradientFlow, StateJacobians
from lit_seq.errors import UserError
from lit_seq.topologies import ManyToOne

pytestmark = pytest.mark.usefixtures("double")

H, NAME = 4, "core.layers.0.0"
LINEAR = partial(Elman, activation="linear")


def build(cell, weight=None):
    torch.manual_seed(0)
    model = ManyToOne(Task("vectors", 2, "values", 1, "sequence"), partial(Stack, cell=cell, hidden_size=H))
    if weight is not None:
        with torch.no_grad():
            model.core.layers[0][0].weight_recurrent.copy_(torch.as_tensor(weight))
    return model.eval()


def batch_of(time, size=3, lengths=None):
    torch.manual_seed(1)
    return Batch(torch.randn(size, time, 2), torch.randn(size, 1), lengths)


def found(model, batch, **options):
    arrays = StateJacobians(**options).find(model, [batch]).arrays
    return arrays[f"{NAME}/log_norm"].numpy(), arrays[f"{NAME}/exponents"].numpy()


@pytest.mark.parametrize("scale", [0.02, 0.7, 1.5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_norms_of_a_linear_recurrence_are_those_of_its_powers(scale, dtype):
    weight = scale * np.random.default_rng(0).normal(size=(H, H))
    model = build(LINEAR, weight).to(dtype)
    batch = batch_of(40)
    norms, _ = found(model, batch._replace(inputs=batch.inputs.to(dtype), targets=batch.targets.to(dtype)))
    # 0.02^40 is far below what float32 holds.
    powers = [np.linalg.norm(np.linalg.matrix_power(weight, lag), 2) for lag in range(1, 41)]
    np.testing.assert_allclose(
        norms, np.log(powers), rtol=1e-9 if dtype == torch.float64 else 1e-4, atol=1e-4
    )


def test_exponents_of_a_linear_recurrence_are_logarithms_of_its_eigenvalues():
    generator = np.random.default_rng(3)
    basis = np.linalg.qr(generator.normal(size=(H, H)))[0]
    weight = basis @ np.diag([1.3, -1.0, 0.6, 0.2]) @ basis.T
    _, exponents = found(build(LINEAR, weight), batch_of(400, 1))
    np.testing.assert_allclose(exponents, np.log([1.3, 1.0, 0.6, 0.2]), atol=0.01)
    assert exponents.sum() == pytest.approx(math.log(1.3 * 0.6 * 0.2), rel=1e-9)


def test_an_orthogonal_linear_network_keeps_everything():
    norms, exponents = found(build(partial(OrthogonalElman, activation="linear")), batch_of(30))
    np.testing.assert_allclose(norms, 0, atol=1e-10)
    np.testing.assert_allclose(exponents, 0, atol=1e-10)


CELLS = {
    "tanh": Elman,
    "lstm": LSTM,
    "gru": GRU,
    "skip": partial(Skip, delays=(1, 2)),
    "clockwork": partial(Clockwork, periods=(1, 2)),
}


def features(state):
    return [part for part in state if part.is_floating_point()]


def jacobians(cell, x, length):
    """Explicit Jacobians of each step of one sequence, by autograd."""
    state = cell.initial_state(1)
    sizes = [part.shape[-1] for part in features(state)]
    found = []
    for step in x[:length]:

        def after(joint, step=step, state=state):
            pieces = iter(joint.split(sizes, -1))
            before = type(state)(*(next(pieces) if p.is_floating_point() else p for p in state))
            return torch.cat(features(cell.step(cell.project(step[None]), before)), -1)

        jacobian = torch.autograd.functional.jacobian(after, torch.cat(features(state), -1))
        found.append(jacobian.reshape(sum(sizes), sum(sizes)).numpy())
        state = cell.step(cell.project(step[None]), state)
    return found


@pytest.mark.parametrize("cell", CELLS)
def test_other_cells_equal_products_of_explicit_jacobians(cell):
    lengths = [9, 1, 6]
    model, batch = build(CELLS[cell]), batch_of(9, 3, torch.tensor(lengths))
    norms, exponents = found(model, batch)
    rows, volumes = np.full((3, 9), np.nan), []
    for row, length in enumerate(lengths):
        steps = jacobians(model.core.layers[0][0], batch.inputs[row], length)
        product = np.eye(len(steps[0]))
        for lag, step in enumerate(reversed(steps)):
            product = product @ step
            rows[row, lag] = np.log(np.linalg.norm(product, 2))
        volumes.append(sum(np.linalg.slogdet(step)[1] for step in steps) / length)
    np.testing.assert_allclose(norms, np.nanmean(rows, 0), rtol=1e-8)
    np.testing.assert_allclose(exponents.sum(), np.mean(volumes), rtol=1e-8)
    assert (np.diff(exponents) <= 0).all()


def test_a_state_that_is_forgotten_has_no_exponent():
    norms, exponents = found(build(FeedForward), batch_of(5))
    assert np.isneginf(norms).all()
    assert np.isneginf(exponents).all()


@pytest.mark.parametrize(
    ("cell", "least", "most"),
    [
        (partial(Elman, recurrent_init="normal", recurrent_std=0.05), -math.inf, -20),
        (partial(Elman, recurrent_init="normal", recurrent_std=0.5), 2, 20),
        (partial(Elman, activation="relu", recurrent_init="identity"), -1, 1),
        (partial(LSTM, chrono=100.0), -2, 1),
    ],
    ids=["vanishing", "exploding", "identity", "chrono"],
)
def test_the_picture_of_the_lectures(cell, least, most):
    """Over 100 steps of the adding problem, initial weights decide on the order of magnitude."""
    data = AddingProblem(length=100, batch_size=4)
    torch.manual_seed(0)
    model = ManyToOne(data.task, partial(Stack, cell=cell, hidden_size=32)).eval()
    batch = next(iter(data.train_dataloader()))
    batch = batch._replace(inputs=batch.inputs.double(), targets=batch.targets.double())
    ratio = GradientFlow(sequences=4).find(model, [batch]).numbers["gradient_ratio"]
    norm = StateJacobians(sequences=1).find(model, [batch]).arrays[f"{NAME}/log_norm"][-1] / math.log(10)
    for magnitude in (math.log10(ratio), float(norm)):
        assert least < magnitude < most


def test_senseless_options_are_refused():
    with pytest.raises(UserError, match="StateJacobians: sequences is 0; it must be at least 1"):
        StateJacobians(sequences=0)
