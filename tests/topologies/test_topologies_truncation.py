"""Truncated backpropagation through time, its gradients of steps averaged or summed, against loops."""

from functools import partial

import lightning as L
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils._pytree import tree_leaves, tree_map

from lit_seq.cells import LSTM, BatchNormLSTM, Clockwork, Elman
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import NTM, Stack
from lit_seq.data import Batch, Task, Vocabulary
from lit_seq.data.batch import IGNORED
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.topologies import LanguageModel, ManyToMany, Topology

pytestmark = [pytest.mark.usefixtures("double")]

KINDS = pytest.mark.parametrize("kind", ["mean", "sum"])
TEXT = Task("tokens", 4, "classes", 4, "next", Vocabulary("character", tuple("�abc")).to_dict())


def fit(model: Topology, batches: list[Batch], **options):
    losses = []
    model.log = lambda name, value, **rest: losses.append(float(value)) if name == "loss" else None
    model.log_dict = lambda *arguments, **rest: None
    model.configure_optimizers = lambda: torch.optim.SGD(model.parameters(), lr=0.3)
    quiet = ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary")
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=1, precision="64-true", **dict.fromkeys(quiet, False), **options
    )
    trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
    return losses


@KINDS
@pytest.mark.parametrize("steps", [1, 3, 6])
def test_a_language_model_trains_as_a_loop_that_truncates(kind, steps):
    torch.manual_seed(0)
    core = partial(Stack, cell=Elman, hidden_size=5)
    model = LanguageModel(TEXT, core, embedding_size=None, step_gradients=kind)
    cell = model.core.layers[0][0]
    shapes = [cell.weight_input, cell.weight_recurrent, cell.bias, model.head.weight, model.head.bias]
    w, u, b, v, c = values = [value.detach().clone().requires_grad_() for value in shapes]
    text = torch.randint(4, (3, 13))
    batches = [
        Batch(text[:, at : at + steps], text[:, at + 1 : at + 1 + steps]) for at in range(0, 12, steps)
    ]
    losses = fit(model, batches)
    h, expected, total = torch.zeros(3, 5), [], 0.0
    for t in range(12):
        h = torch.tanh(F.one_hot(text[:, t], 4).double() @ w.T + h @ u.T + b)
        # A mean over the three texts, for each step.
        total = total + F.cross_entropy(h @ v.T + c, text[:, t + 1])
        if (t + 1) % steps == 0:
            expected.append(float(total) / steps)
            gradients = torch.autograd.grad(total if kind == "sum" else total / steps, values)
            with torch.no_grad():
                for value, gradient in zip(values, gradients, strict=True):
                    value -= 0.3 * gradient
            h, total = h.detach(), 0.0
    assert losses == pytest.approx(expected, rel=1e-12)
    torch.testing.assert_close(shapes, values, rtol=1e-11, atol=1e-13)


CORES = {
    "elman": partial(Stack, cell=Elman, hidden_size=4),
    "deep": partial(Stack, cell=LSTM, hidden_size=4, layers=2, learned_initial_state=True),
    "clockwork": partial(Stack, cell=Clockwork, hidden_size=4),
    "ntm": partial(NTM, hidden_size=4, rows=5, width=3, learned_initial_state=True),
}


def stretches(model, sequence, steps):
    """One sequence in pieces, each from the detached end of the one before."""
    state, outputs = None, []
    for start in range(0, sequence.shape[1], steps):
        state = None if state is None else tree_map(torch.detach, state)
        output, state = model.core(model.features(sequence[:, start : start + steps]), state)
        outputs.append(model.head(output))
    return torch.cat(outputs)[:, 0]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("steps", [1, 3, 4, 20])
def test_gradients_within_a_sequence_stop_where_they_are_told(core, steps):
    torch.manual_seed(0)
    lengths = torch.tensor([7, 1, 4, 6])
    model = ManyToMany(Task("vectors", 2, "values", 3, "step"), CORES[core], truncation=steps)
    inputs, targets = torch.randn(4, 7, 2), torch.randn(4, 7, 3)
    noisy = torch.where((torch.arange(7) < lengths.unsqueeze(1)).unsqueeze(-1), inputs, torch.nan)
    measured = model.measure(Batch(noisy, targets, lengths))
    gradients = torch.autograd.grad(measured.means["loss"], list(model.parameters()), allow_unused=True)
    total = 0.0
    for index, length in enumerate(lengths.tolist()):
        outputs = stretches(model, inputs[index : index + 1, :length], steps)
        total = total + (outputs - targets[index, :length]).square().mean(-1).sum()
    expected = torch.autograd.grad(total / lengths.sum(), list(model.parameters()), allow_unused=True)
    torch.testing.assert_close(measured.means["loss"], total / lengths.sum(), rtol=1e-12, atol=0)
    for found, wanted in zip(gradients, expected, strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, wanted, rtol=1e-9, atol=1e-13)
    # In evaluation nothing is cut, and nothing would change.
    again = model.eval().measure(Batch(inputs, targets, lengths))
    torch.testing.assert_close(again.means["loss"], measured.means["loss"], rtol=1e-12, atol=0)
    for one, other in zip(tree_leaves(again.state), tree_leaves(measured.state), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"truncation": 0}, "truncation is 0; it must be null, or at least 1"),
        ({"truncation": 2, "omega": 1.0}, "leaves omega no gradients"),
        ({"truncation": 2, "core": partial(Stack, cell=BatchNormLSTM)}, "for batch normalisation"),
        ({"truncation": 2, "core": partial(Stack, bidirectional=True)}, "reads from left to right"),
    ],
)
def test_senseless_truncation_is_refused(options, sentence):
    with pytest.raises(UserError, match=sentence):
        ManyToMany(Task("vectors", 2, "values", 3, "step"), **options)


@pytest.mark.parametrize("targets", ["classes", "values"])
def test_sums_are_over_the_steps_that_count_and_means_over_sequences(targets):
    torch.manual_seed(0)
    lengths = torch.tensor([6, 2, 4])
    core = partial(Stack, cell=Elman, hidden_size=5)
    task = Task("vectors", 2, targets, 3, "step")
    model = ManyToMany(task, core, washout=1, step_gradients="sum")
    inputs = torch.randn(3, 6, 2)
    if targets == "values":
        batch = Batch(inputs, torch.randn(3, 6, 3), lengths)
    else:
        classes = torch.randint(3, (3, 6))
        classes[torch.arange(6) >= lengths.unsqueeze(1)] = IGNORED
        batch = Batch(inputs, classes, lengths)
    objective, measured = model.objective(batch)
    expected = 0.0
    for index, length in enumerate(lengths.tolist()):
        outputs, _ = model(
            Batch(inputs[index : index + 1, :length], batch.targets[index : index + 1, :length])
        )
        for t in range(1, length):
            target = batch.targets[index, t]
            of_step = nn.MSELoss() if targets == "values" else nn.CrossEntropyLoss()
            expected = expected + of_step(outputs[t, 0], target)
    torch.testing.assert_close(objective, expected / 3, rtol=1e-12, atol=0)
    torch.testing.assert_close(measured.means["loss"], expected / (5 + 1 + 3), rtol=1e-12, atol=0)


def test_steps_of_bits_are_not_summed():
    task = Task("vectors", 2, "bits", 3, "step")
    with pytest.raises(UserError, match=r"ManyToMany: with bits as targets .* step_gradients must be mean\."):
        ManyToMany(task, step_gradients="sum")


LANGUAGE = [
    "--model=LanguageModel",
    "--model.embedding_size=3",
    "--data=Shakespeare",
    "--data.chunk_length=6",
]
COPYING = ["--model=ManyToMany", "--model.core.layers=2", "--model.core.variational_dropout=0.3"]
COPYING += ["--data=CopyingMemory", "--data.length=5"]


def command(folder, name, index, *options):
    return [
        *("fit", "--model.core.cell=GRU", "--model.core.hidden_size=4", *options),
        *("--data.batch_size=4", "--trainer.limit_val_batches=1", "--trainer.gradient_clip_val=0.1"),
        *("--trainer.max_steps=6", "--trainer.log_every_n_steps=1", "--trainer.precision=64-true"),
        *("--trainer.enable_progress_bar=false", "--wandb.mode=disabled", f"--seed_everything={index}"),
        *("--optimizer=SGD", "--optimizer.lr=0.1", "--runs_dir", str(folder), "--name", f"{name}{index}"),
    ]


def rows(folder):
    return pd.read_csv(folder / "metrics.csv")[["train/loss", "train/gradient_norm"]].dropna()


@pytest.mark.parametrize(
    ("options", "other", "ratio"),
    [
        ([*LANGUAGE, "--model.step_gradients=sum"], LANGUAGE, 6),
        pytest.param(
            [*COPYING, "--model.truncation=4"],
            [*COPYING, "--model.truncation=100"],
            None,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_from_the_command_line_alone_and_in_a_pack(tmp_path, capsys, options, other, ratio):
    assert run_pack([command(tmp_path, "packed", index, *options) for index in range(2)]) == [0, 0]
    said = capsys.readouterr().err
    assert "A pack of 2 trials" in said
    assert "one by one" not in said
    for index in range(2):
        assert main(command(tmp_path, "solo", index, *options)) == 0
        solo = rows(tmp_path / f"solo{index}")
        pd.testing.assert_frame_equal(rows(tmp_path / f"packed{index}"), solo, rtol=1e-8)
    loaded = load_model(tmp_path / "packed0" / "checkpoints" / "last.ckpt", ManyToMany)
    assert (loaded.step_gradients, loaded.truncation) == (("mean", 4) if ratio is None else ("sum", None))
    assert main(command(tmp_path, "other", 1, *other)) == 0
    if ratio is not None:
        # The same loss at first, and its gradient times the number of steps.
        (loss, norm), (expected, alone) = solo.iloc[0], rows(tmp_path / "other1").iloc[0]
        assert (loss, norm) == pytest.approx((expected, ratio * alone), rel=1e-12)
    else:
        assert not np.allclose(solo["train/loss"], rows(tmp_path / "other1")["train/loss"])
