"""Cells against loops that are written from the papers' equations, one sequence at a time."""

from typing import Any

import pytest
import torch
from torch import Tensor

from lit_seq.cells import (
    BatchNormInputElman,
    BatchNormInputLSTM,
    BatchNormLSTM,
    Cell,
    Clockwork,
    DeepTransition,
    LayerNormElman,
    LayerNormLSTM,
    MinGRU,
    OrthogonalElman,
    OrthogonalModReLU,
    Skip,
)
from lit_seq.scan import scan

INPUT, HIDDEN, TIME, BATCH = 3, 6, 11, 4

pytestmark = pytest.mark.usefixtures("double")


def drawn(cell: Cell[Any]) -> Cell[Any]:
    """Give every parameter a value that shows."""
    torch.manual_seed(1)
    for parameter in cell.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return cell


def assert_equal_to(cell: Cell[Any], expected: Any) -> None:
    """Compare outputs and gradients with those of `expected`, a function of one sequence (time, input)."""
    inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
    leaves = [inputs, *cell.parameters()]
    weights = torch.randn(TIME, BATCH, HIDDEN)
    outputs, _ = scan(cell, inputs)
    by_hand = torch.stack([torch.stack(expected(inputs[:, b])) for b in range(BATCH)], 1)
    torch.testing.assert_close(outputs, by_hand, rtol=1e-11, atol=1e-12)
    found, wanted = (
        torch.autograd.grad((y * weights).sum(), leaves, materialize_grads=True) for y in (outputs, by_hand)
    )
    for one, other in zip(found, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("periods", [(1, 2, 4), (1, 3), (2, 5, 7), (1,), (4,)])
def test_clockwork(periods: tuple[int, ...]) -> None:
    cell = drawn(Clockwork(INPUT, HIDDEN, periods))
    units = HIDDEN // len(periods)
    whole = cell.get_parameter("parametrizations.weight_recurrent.original")

    def rows(matrix: Tensor, module: int) -> Tensor:
        return matrix[module * units : (module + 1) * units]

    def by_hand(x: Tensor) -> list[Tensor]:
        h = [torch.zeros(units) for _ in periods]
        outputs = []
        for t in range(TIME):
            after = list(h)
            for i, period in enumerate(periods):
                if t % period == 0:
                    a = rows(cell.weight_input, i) @ x[t] + rows(cell.bias, i)
                    for j in range(i, len(periods)):
                        a = a + rows(whole, i)[:, j * units : (j + 1) * units] @ h[j]
                    after[i] = a.tanh()
            h = after
            outputs.append(torch.cat(h))
        return outputs

    assert_equal_to(cell, by_hand)


@pytest.mark.parametrize("activation", ["tanh", "relu", "sigmoid", "linear"])
@pytest.mark.parametrize("delays", [(1, 4), (4,), (3,), (2, 3, 5), (1,), (1, 2, 3), (20,), (1, 20)])
def test_skip(delays: tuple[int, ...], activation: Any) -> None:
    cell = drawn(Skip(INPUT, HIDDEN, delays, activation))
    phi = {"tanh": torch.tanh, "relu": torch.relu, "sigmoid": torch.sigmoid, "linear": lambda a: a}

    def by_hand(x: Tensor) -> list[Tensor]:
        h: list[Tensor] = []
        for t in range(TIME):
            a = cell.weight_input @ x[t] + cell.bias
            for index, d in enumerate(delays):
                if t >= d:
                    a = a + cell.weight_recurrent[:, index * HIDDEN : (index + 1) * HIDDEN] @ h[t - d]
            h.append(phi[activation](a))
        return h

    assert_equal_to(cell, by_hand)


@pytest.mark.parametrize(
    ("layers", "shortcut"),
    [((1, 1, 0), False), ((3, 2, 0), False), ((1, 3, 2), True), ((2, 2, 1), True), ((1, 1, 1), False)],
)
@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_deep_transition(layers: tuple[int, int, int], shortcut: bool, activation: Any) -> None:
    cell = drawn(DeepTransition(INPUT, HIDDEN, *layers, shortcut, activation))
    phi = getattr(torch, activation)
    assert (len(cell.inward), len(cell.transition), len(cell.outward)) == (
        layers[0] - 1,
        layers[1] - 1,
        layers[2],
    )

    def by_hand(x: Tensor) -> list[Tensor]:
        h, outputs = torch.zeros(HIDDEN), []
        for t in range(TIME):
            a = cell.weight_input @ x[t] + cell.bias
            for layer in cell.inward:
                a = layer.weight @ phi(a) + layer.bias
            z = a + cell.weight_recurrent @ h
            for layer in cell.transition:
                z = layer.weight @ phi(z) + layer.bias
            if shortcut:
                z = z + cell.shortcut.weight @ h
            h = phi(z)
            y = h
            for layer in cell.outward:
                y = phi(layer.weight @ y + layer.bias)
            outputs.append(y)
        return outputs

    assert_equal_to(cell, by_hand)


def normalised(a: Tensor) -> Tensor:
    return (a - a.mean()) / (a.var(correction=0) + 1e-5).sqrt()


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_layer_norm_elman(activation: Any) -> None:
    cell = drawn(LayerNormElman(INPUT, HIDDEN, activation))

    def by_hand(x: Tensor) -> list[Tensor]:
        h, outputs = torch.zeros(HIDDEN), []
        for t in range(TIME):
            a = cell.weight_input @ x[t] + cell.weight_recurrent @ h
            h = getattr(torch, activation)(cell.gain * normalised(a) + cell.bias)
            outputs.append(h)
        return outputs

    assert_equal_to(cell, by_hand)


def test_layer_norm_lstm() -> None:
    cell = drawn(LayerNormLSTM(INPUT, HIDDEN))

    def by_hand(x: Tensor) -> list[Tensor]:
        h = c = torch.zeros(HIDDEN)
        outputs = []
        for t in range(TIME):
            z = cell.gain_input * normalised(cell.weight_input @ x[t])
            z = z + cell.gain_recurrent * normalised(cell.weight_recurrent @ h) + cell.bias
            i, f, g, o = z.split(HIDDEN)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * (cell.gain_cell * normalised(c) + cell.bias_cell).tanh()
            outputs.append(h)
        return outputs

    assert_equal_to(cell, by_hand)


def skew(cell: Any) -> Tensor:
    lower = cell.get_parameter("parametrizations.weight_recurrent.original").tril(-1)
    return lower - lower.T


@pytest.mark.parametrize("mapping", ["cayley", "matrix_exp"])
@pytest.mark.parametrize("activation", ["tanh", "relu", "linear"])
@pytest.mark.parametrize("initial", ["orthogonal", "identity", "rotations"])
def test_orthogonal_elman(mapping: Any, activation: Any, initial: Any) -> None:
    cell = drawn(OrthogonalElman(INPUT, HIDDEN, activation, mapping, initial))
    base = cell.get_buffer("parametrizations.weight_recurrent.0.base")
    torch.testing.assert_close(base @ base.T, torch.eye(HIDDEN), rtol=0, atol=1e-12)
    eye = torch.eye(HIDDEN)

    def by_hand(x: Tensor) -> list[Tensor]:
        a = skew(cell)
        u = base @ (
            torch.linalg.inv(eye - a / 2) @ (eye + a / 2)
            if mapping == "cayley"
            # The exponential by its series.
            else sum(
                torch.linalg.matrix_power(a, k) / torch.lgamma(torch.tensor(k + 1.0)).exp() for k in range(60)
            )
        )
        h, outputs = torch.zeros(HIDDEN), []
        for t in range(TIME):
            z = cell.weight_input @ x[t] + cell.bias + u @ h
            h = z if activation == "linear" else getattr(torch, activation)(z)
            outputs.append(h)
        return outputs

    assert_equal_to(cell, by_hand)
    found = cell.weight_recurrent
    torch.testing.assert_close(found @ found.T, eye, rtol=0, atol=1e-12)


def test_orthogonal_modrelu() -> None:
    cell = drawn(OrthogonalModReLU(INPUT, HIDDEN))

    def by_hand(x: Tensor) -> list[Tensor]:
        h, outputs = torch.zeros(HIDDEN), []
        for t in range(TIME):
            z = cell.weight_input @ x[t] + cell.weight_recurrent @ h
            h = torch.where(z.abs() + cell.threshold > 0, z + z.sign() * cell.threshold, 0.0)
            outputs.append(h)
        return outputs

    assert_equal_to(cell, by_hand)


def test_min_gru() -> None:
    cell = drawn(MinGRU(INPUT, HIDDEN))

    def by_hand(x: Tensor) -> list[Tensor]:
        h, outputs = torch.zeros(HIDDEN), []
        for t in range(TIME):
            a, candidate = (cell.weight_input @ x[t] + cell.bias).split(HIDDEN)
            h = (1 - a.sigmoid()) * h + a.sigmoid() * candidate
            outputs.append(h)
        return outputs

    assert_equal_to(cell, by_hand)


LENGTHS = [TIME, 2, TIME - 3, 7]


def moments(values: list[Tensor]) -> tuple[Tensor, Tensor]:
    stacked = torch.stack(values)
    return stacked.mean(0), stacked.var(0, correction=0)


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("kind", [BatchNormInputElman, BatchNormInputLSTM])
def test_batch_norm_of_the_input(kind: Any, padded: bool) -> None:
    """In training as torch's batch norm of the steps that count; in evaluation by its running statistics."""
    cell, plain = drawn(kind(INPUT, HIDDEN)), drawn(kind.__mro__[1](INPUT, HIDDEN))
    lengths = LENGTHS if padded else [TIME] * BATCH
    twin = torch.nn.BatchNorm1d(cell.gates * HIDDEN)
    plain.load_state_dict(cell.state_dict(), strict=False)
    identity = drawn(kind.__mro__[1](cell.gates * HIDDEN, HIDDEN))
    with torch.no_grad():
        twin.weight.copy_(cell.norm.gain)
        identity.weight_input.copy_(torch.eye(cell.gates * HIDDEN))
        identity.weight_recurrent.copy_(cell.weight_recurrent)
        identity.bias.copy_(cell.bias)
    for training in (True, True, False):
        cell.train(training)
        twin.train(training)
        inputs = torch.randn(TIME, BATCH, INPUT)
        outputs, _ = scan(cell, inputs, lengths=torch.tensor(lengths) if padded else None)
        flat = torch.cat([inputs[:length, b] for b, length in enumerate(lengths)]) @ cell.weight_input.T
        for b, x in enumerate(twin(flat).split(lengths)):
            expected, _ = scan(identity, x.unsqueeze(1))
            torch.testing.assert_close(outputs[: lengths[b], b : b + 1], expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(cell.norm.running[0], torch.stack([twin.running_mean, twin.running_var]))


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("reverse", [False, True])
def test_batch_norm_lstm(padded: bool, reverse: bool) -> None:
    steps = 8
    cell = drawn(BatchNormLSTM(INPUT, HIDDEN, steps=steps))
    lengths = LENGTHS if padded else [TIME] * BATCH
    gains = (*cell.norm_gates.gain.chunk(2), cell.norm_cell.gain)
    running = [[[torch.zeros(len(gain)), torch.ones(len(gain))] for _ in range(steps)] for gain in gains]
    trained = 0

    def norm(which: int, t: int, values: dict[int, Tensor], training: bool) -> dict[int, Tensor]:
        own = running[which][min(t, steps - 1, *([] if training else [trained - 1]))]
        mean, variance = own
        if training:
            mean, variance = moments(list(values.values()))
            if (n := len(values)) > 1:
                own[0] = 0.9 * own[0] + 0.1 * mean.detach()
                own[1] = 0.9 * own[1] + 0.1 * variance.detach() * n / (n - 1)
        gain = gains[which]
        return {b: gain * (x - mean) / (variance + 1e-5).sqrt() for b, x in values.items()}

    for training in (True, True, False):
        cell.train(training)
        inputs = torch.randn(TIME, BATCH, INPUT, requires_grad=True)
        time = TIME if training else TIME + 4
        if not training:
            inputs = torch.randn(time, BATCH, INPUT, requires_grad=True)
        outputs, final = scan(
            cell, inputs, lengths=torch.tensor(lengths) if padded else None, reverse=reverse
        )
        ends = lengths if padded else [time] * BATCH
        h = {b: torch.zeros(HIDDEN) for b in range(BATCH)}
        c = dict(h)
        expected = torch.zeros(time, BATCH, HIDDEN)
        for t in range(max(ends)):
            going = [b for b in range(BATCH) if t < ends[b]]
            at = {b: ends[b] - 1 - t if reverse else t for b in going}
            x = norm(0, t, {b: cell.weight_input @ inputs[at[b], b] for b in going}, training)
            u = norm(1, t, {b: cell.weight_recurrent @ h[b] for b in going}, training)
            gates = {b: (x[b] + u[b] + cell.bias).split(HIDDEN) for b in going}
            for b, (i, f, g, _) in gates.items():
                c[b] = f.sigmoid() * c[b] + i.sigmoid() * g.tanh()
            cells = norm(2, t, {b: c[b] for b in going}, training)
            for b in going:
                h[b] = gates[b][3].sigmoid() * (cells[b] + cell.bias_cell).tanh()
                place = torch.zeros(time, BATCH, 1)
                place[at[b], b] = 1
                expected = expected + place * h[b]
        trained = max(trained, min(max(ends), steps)) if training else trained
        torch.testing.assert_close(outputs, expected, rtol=1e-9, atol=1e-11)
        torch.testing.assert_close(final.h, torch.stack(list(h.values())), rtol=1e-9, atol=1e-11)
        assert final.clock.flatten().tolist() == ends
        weights = torch.randn_like(outputs)
        leaves = [inputs, *cell.parameters()]
        found, wanted = (torch.autograd.grad((y * weights).sum(), leaves) for y in (outputs, expected))
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-10)
    assert int(cell.trained_steps) == trained == steps
    found = [*cell.norm_gates.running.chunk(2, -1), cell.norm_cell.running]
    for statistics, rows in zip(found, running, strict=True):
        torch.testing.assert_close(statistics, torch.stack([torch.stack(row) for row in rows]))
