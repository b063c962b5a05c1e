"""Gradients through time against closed forms and against backpropagation written out by hand."""

from functools import partial

import numpy as np
import pytest
import torch

from lit_seq.cells import GRU, LSTM, Clockwork, EchoState, Elman, LayerNormLSTM, OrthogonalElman, Skip
from lit_seq.cores import NTM, AttentionSummary, Stack
from lit_seq.data import Batch, Task, Vocabulary
from lit_seq.diagnostics import GradientFlow
from lit_seq.errors import UserError
from lit_seq.topologies import EncoderDecoder, ManyToMany, ManyToOne

pytestmark = pytest.mark.usefixtures("double")

T, N, H = 12, 3, 4


def vectors(alignment):
    return Task("vectors", 2, "values", 1, alignment)


def build(topology, cell, seed=0, **options):
    torch.manual_seed(seed)
    task = vectors("step" if topology is ManyToMany else "sequence")
    model = topology(task, partial(Stack, cell=cell, hidden_size=H, **options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    return model


def batch_of(alignment, lengths=None):
    torch.manual_seed(1)
    shape = (N, T, 1) if alignment == "step" else (N, 1)
    return Batch(torch.randn(N, T, 2), torch.randn(*shape), lengths)


def found(model, batch, **options):
    return GradientFlow(sequences=N, **options).find(model, [batch]).arrays


LINEAR = partial(Elman, activation="linear")
NAME = "core.layers.0.0"


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_a_linear_recurrence_has_powers_of_its_matrix(scale):
    model, batch = build(ManyToOne, LINEAR), batch_of("sequence")
    cell = model.core.layers[0][0]
    with torch.no_grad():
        cell.weight_recurrent.mul_(scale)
    u, w, b = (p.detach().numpy() for p in (cell.weight_recurrent, cell.weight_input, cell.bias))
    readout = model.head.weight.detach().numpy()
    expected = np.zeros(T)
    for x, target in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        last = sum(np.linalg.matrix_power(u, T - 1 - k) @ (w @ x[k] + b) for k in range(T))
        error = 2 * (readout @ last + model.head.bias.detach().numpy() - target) @ readout
        powers = [np.linalg.matrix_power(u.T, T - 1 - t) @ error for t in range(T)]
        expected += [np.linalg.norm(of_one) / N for of_one in powers]
    findings = GradientFlow(sequences=N).find(model, [batch])
    np.testing.assert_allclose(findings.arrays[f"{NAME}/gradient"], expected, rtol=1e-10)
    assert findings.numbers["gradient_ratio"] == pytest.approx(expected[0] / expected[-1])


def by_hand(model, batch):
    """Pascanu et al. 2013, eqs. 3–5, in matrices: C_ℓ of a tanh network with a loss at each step."""
    cell = model.core.layers[0][0]
    u, w, b = (p.detach().numpy() for p in (cell.weight_recurrent, cell.weight_input, cell.bias))
    v, c = (p.detach().numpy() for p in (model.head.weight, model.head.bias))
    totals = [[np.zeros_like(w), np.zeros_like(u), np.zeros_like(b)] for _ in range(T)]
    norms = np.zeros(T)
    for x, y in zip(batch.inputs.numpy(), batch.targets.numpy(), strict=True):
        h = [np.zeros(H)]
        for t in range(T):
            h.append(np.tanh(w @ x[t] + b + u @ h[-1]))
        slopes = [np.diag(1 - state**2) for state in h[1:]]
        full = np.zeros((T, H))
        for t in range(T):
            direct = 2 * (v @ h[t + 1] + c - y[t]) @ v / (N * T)
            jacobian = np.eye(H)
            for k in range(t, -1, -1):
                through = direct @ jacobian
                full[k] += through
                inner = through @ slopes[k]
                for total, part in zip(
                    totals[t - k], (np.outer(inner, x[k]), np.outer(inner, h[k]), inner), strict=True
                ):
                    total += part
                jacobian = jacobian @ slopes[k] @ u
        norms += np.linalg.norm(full, axis=1)
    flat = [np.concatenate([part.ravel() for part in parts]) for parts in totals]
    return norms, np.stack(flat)


@pytest.mark.parametrize("short_term", [1, 5, 40])
def test_contributions_equal_the_matrix_form_written_out(short_term):
    model, batch = build(ManyToMany, Elman), batch_of("step")
    arrays = found(model, batch, short_term=short_term)
    norms, contributions = by_hand(model, batch)
    np.testing.assert_allclose(arrays[f"{NAME}/gradient"], norms, rtol=1e-10)
    np.testing.assert_allclose(
        arrays[f"{NAME}/contribution"], np.linalg.norm(contributions, axis=1), rtol=1e-8
    )
    short, long = (contributions[part].sum(0) for part in (slice(short_term), slice(short_term, None)))
    np.testing.assert_allclose(arrays[f"{NAME}/short_term"], np.linalg.norm(short), rtol=1e-9)
    np.testing.assert_allclose(arrays[f"{NAME}/long_term"], np.linalg.norm(long), rtol=1e-8, atol=1e-15)


CELLS = {
    "lstm": LSTM,
    "gru": GRU,
    "skip": partial(Skip, delays=(1, 3)),
    "clockwork": partial(Clockwork, periods=(1, 2)),
    "orthogonal": OrthogonalElman,
    "normalised": LayerNormLSTM,
}


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("topology", [ManyToOne, ManyToMany])
@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True}], ids=["plain", "deep"])
def test_all_contributions_add_up_to_the_gradient(cell, topology, options):
    lengths = torch.tensor([T, 5, 1])
    alignment = "step" if topology is ManyToMany else "sequence"
    model, batch = build(topology, CELLS[cell], **options), batch_of(alignment, lengths)
    arrays = found(model, batch, short_term=T)
    model.measure(batch).means["loss"].backward()
    for name in {name.rpartition("/")[0] for name in arrays}:
        gradients = [parameter.grad.flatten() for parameter in model.get_submodule(name).parameters()]
        torch.testing.assert_close(
            arrays[f"{name}/short_term"], torch.cat(gradients).norm(), rtol=1e-9, atol=1e-14
        )
    assert len(arrays) == 4 * (4 if options else 1)
    assert all(parameter.grad is not None for parameter in model.core.parameters())


def test_padding_changes_nothing():
    model, lengths = build(ManyToOne, LSTM), [T, 5, 8]
    batch = batch_of("sequence", torch.tensor(lengths))
    together = found(model, batch)[f"{NAME}/gradient"]
    sums, counts = torch.zeros(T), torch.zeros(T)
    for row, length in enumerate(lengths):
        alone = Batch(batch.inputs[row : row + 1, :length], batch.targets[row : row + 1])
        sums[:length] += found(model, alone)[f"{NAME}/gradient"]
        counts[:length] += 1
    torch.testing.assert_close(together, sums / counts, rtol=1e-10, atol=0)


def test_steps_that_no_sequence_has_are_not_numbers():
    batch = batch_of("sequence", torch.tensor([3, 5, T]))
    findings = GradientFlow(sequences=2).find(build(ManyToOne, GRU), [batch])
    assert findings.arrays[f"{NAME}/gradient"].isnan().tolist() == [False] * 5 + [True] * 7
    assert 0 < findings.numbers["gradient_ratio"] < float("inf")


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rounding_is_no_direct_contribution(dtype):
    """Of an exploding linear network with one answer at the end, C_0 is the last step's alone."""
    model = build(ManyToOne, LINEAR).to(dtype)
    cell = model.core.layers[0][0]
    with torch.no_grad():
        cell.weight_recurrent.copy_(torch.linalg.qr(torch.randn(H, H))[0] * 1.4)
        cell.bias.zero_()
    inputs = torch.zeros(2, 60, 2, dtype=dtype)
    inputs[:, -1] = torch.randn(2, 2)
    batch = Batch(inputs, torch.randn(2, 1, dtype=dtype))
    contributed = found(model, batch)[f"{NAME}/contribution"]
    last = cell.project(inputs[:, -1])
    (error,) = torch.autograd.grad((model.head(last) - batch.targets).square().mean(), last)
    expected = torch.cat([(error.T @ inputs[:, -1]).flatten(), error.sum(0)]).norm()
    torch.testing.assert_close(contributed[0].to(dtype), expected, rtol=1e-4, atol=0)
    assert contributed[59] == pytest.approx(1.4**59 * float(error.sum(0).norm()), rel=1e-3)


def test_a_gradient_too_small_to_square_counts():
    torch.set_default_dtype(torch.float32)
    model = build(ManyToOne, partial(LINEAR, recurrent_init="identity"))
    with torch.no_grad():
        model.core.layers[0][0].weight_recurrent.copy_(0.25 * torch.eye(H))
    flow = found(model, Batch(torch.randn(2, 60, 2), torch.randn(2, 1)))[f"{NAME}/gradient"]
    # 0.25^59 is 3e-36, whose square float32 cannot hold.
    assert float(flow[0] / flow[-1]) == pytest.approx(0.25**59, rel=1e-4)


def test_a_decoder_and_an_encoder_are_both_seen():
    source = Vocabulary("character", ("�", "a", "b", "c"))
    target = Vocabulary("character", source.symbols, ends=True)
    words = {"vocabulary": source.to_dict(), "target_vocabulary": target.to_dict(), "target_length": 9}
    task = Task("tokens", len(source), "classes", len(target), "own", **words)
    torch.manual_seed(0)
    model = EncoderDecoder(task, partial(Stack, hidden_size=H), partial(Stack, hidden_size=H)).eval()
    batch = Batch(torch.randint(1, 4, (N, 6)), torch.randint(1, 4, (N, 9)))
    names = {name.rpartition("/")[0] for name in found(model, batch)}
    assert len(names) == 2
    assert {len(of_one) for name, of_one in found(model, batch).items() if "gradient" in name} == {6, 9}


def test_a_core_around_a_stack_is_served_and_one_that_goes_another_way_refused():
    core = partial(AttentionSummary, encoder=partial(Stack, cell=GRU, hidden_size=H))
    model = ManyToOne(vectors("sequence"), core).eval()
    assert f"{'core.encoder.layers.0.0'}/gradient" in found(model, batch_of("sequence"))
    model = ManyToOne(vectors("sequence"), partial(NTM, hidden_size=H)).eval()
    with pytest.raises(UserError, match="scan their cells along time, each once"):
        found(model, batch_of("sequence"))


def test_a_reservoir_has_gradients_but_nothing_to_train():
    arrays = found(build(ManyToOne, EchoState), batch_of("sequence"))
    assert (arrays[f"{NAME}/gradient"] > 0).all()
    assert not arrays[f"{NAME}/contribution"].any()


def test_senseless_options_are_refused():
    for options in ({"every": 0}, {"sequences": 0}, {"short_term": 0}):
        with pytest.raises(
            UserError, match=f"GradientFlow: {next(iter(options))} is 0; it must be at least 1"
        ):
            GradientFlow(**options)
    with pytest.raises(UserError, match="this data has none"):
        GradientFlow().find(build(ManyToOne, GRU), [])
