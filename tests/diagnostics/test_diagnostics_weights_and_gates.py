"""Spectra of recurrent matrices, and gates, against numpy."""

from functools import partial

import numpy as np
import pytest
import torch

from lit_seq.cells import GRU, LSTM, Elman, LayerNormLSTM, Leaky, MinGRU, Skip
from lit_seq.cores import Stack
from lit_seq.data import Batch, Task
from lit_seq.diagnostics import GateSaturation, GradientFlow, Spectra, StateJacobians
from lit_seq.errors import UserError
from lit_seq.topologies import ManyToOne

pytestmark = pytest.mark.usefixtures("double")

H, T, NAME = 4, 7, "core.layers.0.0"


def build(cell, **options):
    torch.manual_seed(0)
    core = partial(Stack, cell=cell, hidden_size=H, **options)
    model = ManyToOne(Task("vectors", 2, "values", 1, "sequence"), core).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter))
    return model


def batch_of(lengths=None):
    torch.manual_seed(1)
    return Batch(torch.randn(3, T, 2), torch.randn(3, 1), lengths)


@pytest.mark.parametrize(("cell", "blocks"), [(Elman, 1), (LSTM, 4), (partial(Skip, delays=(1, 3)), 2)])
def test_spectra_are_those_of_each_block(cell, blocks):
    model = build(cell)
    findings = Spectra().find(model, [])
    weight = model.core.layers[0][0].weight_recurrent.detach().numpy()
    squares = [
        weight[row : row + H, column : column + H]
        for row in range(0, weight.shape[0], H)
        for column in range(0, weight.shape[1], H)
    ]
    assert len(squares) == blocks
    for place, square in enumerate(squares):
        values = findings.arrays[f"{NAME}/eigenvalues"][place].numpy()
        np.testing.assert_allclose(np.sort_complex(values), np.sort_complex(np.linalg.eigvals(square)))
        np.testing.assert_allclose(
            findings.arrays[f"{NAME}/singular_values"][place], np.linalg.svd(square)[1], rtol=1e-10
        )
    radius = max(np.abs(np.linalg.eigvals(square)).max() for square in squares)
    assert findings.numbers["spectral_radius"] == pytest.approx(radius)
    assert findings.numbers["singular_value"] == pytest.approx(max(np.linalg.norm(s, 2) for s in squares))


def test_spectra_need_a_recurrent_matrix():
    with pytest.raises(UserError, match="this ManyToOne has no cell with a recurrent matrix"):
        Spectra().find(build(MinGRU), [])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_gates(cell, x):
    """The equations of `LSTM`, for one sequence."""
    u, w, b = (p.detach().numpy() for p in (cell.weight_recurrent, cell.weight_input, cell.bias))
    h = c = np.zeros(H)
    for step in x:
        i, f, g, o = np.split(w @ step + b + u @ h, 4)
        i, f, g, o = sigmoid(i), sigmoid(f), np.tanh(g), sigmoid(o)
        c = f * c + i * g
        h = o * np.tanh(c)
        yield {"f": f, "i": i, "o": o, "g": (g + 1) / 2, "tanh c": (np.tanh(c) + 1) / 2}


def test_saturation_equals_the_equations_written_out():
    lengths = [T, 2, 5]
    model, batch = build(LSTM), batch_of(torch.tensor(lengths))
    findings = GateSaturation().find(model, [batch])
    steps = [
        step
        for row, length in enumerate(lengths)
        for step in lstm_gates(model.core.layers[0][0], batch.inputs[row, :length].numpy())
    ]
    assert len(findings.arrays) == 10
    for gate in steps[0]:
        values = np.stack([step[gate] for step in steps])
        for side, share in (("low", (values < 0.1).mean(0)), ("high", (values > 0.9).mean(0))):
            np.testing.assert_allclose(findings.arrays[f"{NAME}/{gate}/{side}"], share, rtol=1e-12)
        either = ((values < 0.1) | (values > 0.9)).mean()
        assert findings.numbers[f"saturated/{gate}"] == pytest.approx(either)
        assert either > 0


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (partial(LSTM, coupled=True), ["f", "g", "o", "tanh c"]),
        (partial(LSTM, peepholes=True), ["f", "i", "g", "o", "tanh c"]),
        (GRU, ["r", "n", "z"]),
        (partial(GRU, reset="before"), ["r", "n", "z"]),
        (LayerNormLSTM, ["f", "i", "g", "o", "tanh c"]),
        (MinGRU, ["z"]),
        (Elman, ["h"]),
        (partial(Elman, activation="sigmoid"), ["h"]),
        (partial(Leaky, leak=0.5, learned=True), ["h"]),
    ],
)
def test_gates_have_their_names(cell, names):
    findings = GateSaturation().find(build(cell), [batch_of()])
    assert [name.split("/")[1] for name in findings.arrays] == [name for name in names for _ in range(2)]
    assert list(findings.numbers) == [f"saturated/{name}" for name in names]


def test_a_forget_gate_follows_its_bias():
    """Of gates whose weights are zero, the biases say which are saturated."""
    model = build(LSTM)
    cell = model.core.layers[0][0]
    with torch.no_grad():
        for parameter in cell.parameters():
            parameter.zero_()
        cell.bias[H : 2 * H] = torch.tensor([3.0, -3.0, 2.0, -2.0])
    arrays = GateSaturation().find(model, [batch_of()]).arrays
    assert arrays[f"{NAME}/f/high"].tolist() == [1, 0, 0, 0]
    assert arrays[f"{NAME}/f/low"].tolist() == [0, 1, 0, 0]
    assert not arrays[f"{NAME}/i/low"].any()


@pytest.mark.parametrize("look", [GradientFlow, StateJacobians, Spectra, GateSaturation])
def test_half_precision_is_enough(look):
    batch = batch_of()
    whole = look().find(build(LSTM).float(), [Batch(batch.inputs.float(), batch.targets.float())])
    half = look().find(build(LSTM).bfloat16(), [Batch(batch.inputs.bfloat16(), batch.targets.bfloat16())])
    for name, array in half.arrays.items():
        assert array.dtype != torch.bfloat16
        if "eigenvalues" not in name:
            torch.testing.assert_close(array, whole.arrays[name].to(array.dtype), rtol=0.3, atol=0.3)


def test_what_has_no_gate_is_refused():
    with pytest.raises(UserError, match="no cell with a σ or a tanh"):
        GateSaturation().find(build(partial(Elman, activation="relu")), [batch_of()])
    with pytest.raises(UserError, match="GateSaturation: sequences is 0; it must be at least 1"):
        GateSaturation(sequences=0)
