"""Output feedback and the Jordan network: taught, free and in between, against loops written out."""

import json
from functools import partial

import pandas as pd
import pytest
import torch
from torch.nn import functional as F

from lit_seq.cells import GRU, EchoState, FeedForward, Jordan
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import Stack
from lit_seq.data import IGNORED, Batch, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.topologies import LanguageModel, ManyToMany, ManyToOne, OutputFeedback

TASKS = {
    "classes": Task("tokens", 3, "classes", 4, "step"),
    "values": Task("vectors", 2, "values", 2, "step"),
    "bits": Task("vectors", 2, "bits", 3, "step"),
}

pytestmark = pytest.mark.usefixtures("double")


def build(task, cell=Jordan, **options):
    torch.manual_seed(0)
    core = partial(Stack, cell=cell, hidden_size=5)
    return OutputFeedback(TASKS[task], core, None, **options)


def batch_of(task, lengths=None):
    generator = torch.Generator().manual_seed(1)
    numbers = partial(torch.randint, size=(3, 6), generator=generator)
    if task == "classes":
        batch = Batch(numbers(3), numbers(4), lengths)
        batch.targets[0, 2] = IGNORED
        return batch
    vectors = torch.randn(3, 6, 2, generator=generator)
    if task == "values":
        return Batch(vectors, torch.randn(3, 6, 2, generator=generator), lengths)
    return Batch(vectors, torch.randint(2, (3, 6, 3), generator=generator), lengths)


def by_hand(model, task, batch, taught):
    """Outputs step by step, (time, batch, target_size); `taught` says where the target is fed back."""
    cell = model.core.layers[0][0]
    said, outputs = None, []
    for t in range(6):
        x = F.one_hot(batch.inputs[:, t], 3).double() if task == "classes" else batch.inputs[:, t]
        rows = []
        for row in range(3):
            size = model.task.target_size
            before = torch.zeros(size)
            if t and taught[t, row]:
                target = batch.targets[row, t - 1]
                if task == "classes":
                    before = before if target == IGNORED else F.one_hot(target, size).double()
                else:
                    before = target.double()
            elif t:
                before = {
                    "classes": lambda y, n=size: F.one_hot(y.argmax(), n).double(),
                    "values": lambda y: y,
                    "bits": lambda y: (y > 0).double(),
                }[task](said[row].detach())
            h = torch.tanh(cell.weight_input @ torch.cat([x[row], before]) + cell.bias)
            rows.append(model.head.weight @ h + model.head.bias)
        said = torch.stack(rows)
        outputs.append(said)
    return torch.stack(outputs)


@pytest.mark.parametrize("task", TASKS)
def test_training_is_taught_and_testing_is_free(task):
    model, batch = build(task), batch_of(task)
    taught = torch.ones(6, 3, dtype=torch.bool)
    torch.testing.assert_close(model(batch)[0], by_hand(model, task, batch, taught), rtol=0, atol=1e-12)
    model.eval()
    free = by_hand(model, task, batch, ~taught)
    torch.testing.assert_close(model(batch)[0], free, rtol=0, atol=1e-12)
    assert not torch.allclose(free, by_hand(model, task, batch, taught))
    # nothing of the targets is read
    other = batch._replace(targets=torch.zeros_like(batch.targets))
    assert torch.equal(model(other)[0], model(batch)[0])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("sampling", [0.4, 1.0])
def test_sampling_feeds_back_what_was_said_without_its_gradient(task, sampling):
    model, batch = build(task, sampling=sampling), batch_of(task)
    torch.manual_seed(7)
    taught = F.dropout(torch.ones(6, 3, 1), sampling)[..., 0] > 0
    assert taught.any() == (sampling < 1)
    torch.manual_seed(7)
    loss = model.measure(batch).means["loss"]
    loss.backward()
    found = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    outputs = by_hand(model, task, batch, taught)
    expected = model.loss_and_metrics(outputs, batch.targets.transpose(0, 1))[0]["loss"]
    expected.backward()
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=0)
    for gradient, parameter in zip(found, model.parameters(), strict=True):
        torch.testing.assert_close(gradient, parameter.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("cell", [Jordan, GRU, EchoState])
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("training", [True, False])
def test_padding_changes_nothing(cell, task, training):
    model = build(task, cell).train(training)
    lengths = torch.tensor([6, 2, 4])
    batch = batch_of(task, lengths)
    for row, length in enumerate(lengths.tolist()):
        batch.targets[row, length:] = 0 if task == "values" else IGNORED
        if task != "classes":
            batch.inputs[row, length:] = 1e3
    together = model.measure(batch)
    alone = [
        model.measure(Batch(batch.inputs[row, :length][None], batch.targets[row, :length][None]))
        for row, length in enumerate(lengths.tolist())
    ]
    weighted = sum(one.means["loss"] * one.targets for one in alone) / sum(one.targets for one in alone)
    torch.testing.assert_close(together.means["loss"], weighted, rtol=1e-12, atol=0)
    for row, one in enumerate(alone):
        torch.testing.assert_close(together.state[0][0].h[row], one.state[0][0].h[0], rtol=0, atol=1e-12)


def test_dropout_does_not_change_what_is_fed_back():
    model = OutputFeedback(
        TASKS["classes"], partial(Stack, cell=Jordan, hidden_size=5, layers=2, dropout=0.5), sampling=0.5
    )
    model.measure(batch_of("classes")).means["loss"].backward()
    assert model.core.training
    assert all(module.training for module in model.modules())


def test_refusals():
    with pytest.raises(UserError, match="OutputFeedback needs a core that reads from left to right"):
        OutputFeedback(TASKS["classes"], partial(Stack, bidirectional=True))
    with pytest.raises(UserError, match=r"OutputFeedback: sampling is 1\.5; it must be from 0 to 1\."):
        build("classes", sampling=1.5)
    core = partial(Stack, cell=Jordan, hidden_size=5)
    one = Task("tokens", 3, "classes", 4, "sequence")
    text = Task("tokens", 3, "classes", 3, "next", {"unit": "character", "tokens": ["a", "b", "c"]})
    for topology, task in ((ManyToMany, TASKS["classes"]), (ManyToOne, one), (LanguageModel, text)):
        with pytest.raises(UserError, match="does not feed its output back, which is the only memory of the"):
            topology(task, core)
    ManyToMany(TASKS["classes"], partial(Stack, cell=FeedForward, hidden_size=5))
    for task in (one, text):
        with pytest.raises(UserError, match="OutputFeedback takes data with one target a step"):
            OutputFeedback(task, core)


COMMON = [
    *("--model", "OutputFeedback", "--model.core.hidden_size", "6", "--model.embedding_size", "4"),
    *("--data", "RunningSum", "--data.length", "7", "--data.batch_size", "4", "--data.validation_size", "9"),
    *("--trainer.max_steps", "20", "--trainer.check_val_every_n_epoch", "null"),
    *("--trainer.val_check_interval", "10", "--trainer.log_every_n_steps", "1"),
    *("--trainer.precision", "64-true", "--trainer.enable_progress_bar", "false"),
    *("--wandb.mode", "disabled", "--model.core.cell"),
]


def command(folder, name, cell, index, *options):
    own = ["--seed_everything", str(index), "--runs_dir", str(folder), "--name", f"{name}{index}"]
    return ["fit", *COMMON, cell, *own, *options]


@pytest.mark.parametrize(
    ("cell", "dropout"),
    [
        pytest.param("Jordan", 0.0, marks=pytest.mark.slow),
        pytest.param("Jordan", 0.3, marks=pytest.mark.slow),
        ("GRU", 0.3),
    ],
)
def test_packed_trials_of_different_sampling_equal_solo_runs(tmp_path, capsys, cell, dropout):
    options = ["--model.core.layers", "2", "--model.core.dropout", str(dropout)]
    extra = [[*options, "--model.sampling", str(rate)] for rate in (0.0, 0.25, 1.0)]
    packed = [command(tmp_path, "packed", cell, index, *extra[index]) for index in range(3)]
    assert run_pack(packed) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, "solo", cell, index, *extra[index])) == 0
        alone, stacked = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(stacked)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=0)
        left, right = (
            torch.load(tmp_path / f"{name}{index}/checkpoints/last.ckpt", weights_only=True)
            for name in ("solo", "packed")
        )
        assert left["hyper_parameters"] == right["hyper_parameters"]
        torch.testing.assert_close(left["state_dict"], right["state_dict"], rtol=1e-8, atol=1e-10)


def test_checkpoint_builds_and_predicts_the_same(tmp_path):
    assert main(command(tmp_path, "run", "Jordan", 0, "--model.sampling", "0.2")) == 0
    path = tmp_path / "run0/checkpoints/last.ckpt"
    assert main(["test", "--ckpt_path", str(path)]) == 0
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    model = load_model(path, OutputFeedback).double().eval()
    assert model.sampling.p == 0.2
    rows = [json.loads(line) for line in (tmp_path / "run0/predictions.jsonl").read_text().splitlines()]
    assert len(rows) == 1000
    inputs = torch.zeros(5, 7, dtype=torch.long)
    for row, one in enumerate(rows[:5]):
        before = torch.tensor([0, *one["target"][:-1]])
        inputs[row] = (torch.tensor(one["target"]) - before) % 5
    outputs = model(Batch(inputs, torch.zeros_like(inputs)))[0]
    assert outputs.argmax(-1).T.tolist() == [one["prediction"] for one in rows[:5]]
