"""The readout in closed form against numpy's least squares, and washout in both ways of training."""

import json
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from lit_seq.cells import LSTM, EchoState
from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.cores import Stack
from lit_seq.data import IGNORED, NARMA10, Batch, GeneratedData, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.scan import scan
from lit_seq.topologies import ManyToMany, OutputFeedback, RidgeReadout


class Padded(GeneratedData):
    """Values or classes of sequences of different lengths, with nonsense in the padding.

    Args:
        targets: "values" or "classes".
    """

    def __init__(self, targets: str = "values", **generated):
        super().__init__(**generated)
        self.targets = targets

    @property
    def task(self):
        return Task("vectors", 2, self.targets, 3, "step")

    def generate(self, size, generator):
        inputs = torch.randn(size, 12, 2, generator=generator)
        lengths = torch.randint(5, 13, (size,), generator=generator)
        late = torch.arange(12) >= lengths.unsqueeze(1)
        if self.targets == "values":
            targets = torch.randn(size, 12, 3, generator=generator) + inputs.sum(-1, keepdim=True)
            targets[late] = 0
        else:
            targets = (inputs.cumsum(1).sum(-1) % 3).long()
            targets[late], targets[0, 4] = IGNORED, IGNORED
        inputs[late] = 1e6
        return Batch(inputs, targets, lengths)


COMMON = [
    *("--trainer.max_epochs", "1", "--trainer.log_every_n_steps", "1", "--wandb.mode", "disabled"),
    *("--trainer.enable_progress_bar", "false", "--data.validation_size", "20", "--data.test_size", "20"),
    *("--model.core.cell", "EchoState", "--model.core.hidden_size", "9"),
]


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(__file__.rpartition("/")[0])


def fit(folder, name, *options, model="RidgeReadout", data="test_topologies_ridge_readout.Padded"):
    own = ["--runs_dir", str(folder), "--name", name]
    return ["fit", "--model", model, "--data", data, *COMMON, *own, *options]


def rows_of(batch, cell, washout):
    """States and targets of the steps that count, by a loop over sequences."""
    states, wanted = [], []
    for row, length in enumerate(batch.lengths.tolist()):
        h, _ = scan(cell, batch.inputs[row, :length].unsqueeze(1).to(cell.bias.dtype))
        for t in range(washout, length):
            target = batch.targets[row, t]
            if target.dim() == 0 and target == IGNORED:
                continue
            states.append(h[t, 0].double().numpy())
            wanted.append(target.double().numpy() if target.dim() else np.eye(3)[target])
    return np.array(states), np.array(wanted)


@pytest.mark.parametrize("targets", ["values", "classes"])
@pytest.mark.parametrize("washout", [0, 4])
def test_readout_is_the_regression_on_all_batches(tmp_path, targets, washout):
    # float64, as float32 states would differ in the last bit between a batch and a sequence alone
    options = ["--model.washout", str(washout), "--model.ridge", "0.01", "--data.train_batches", "5"]
    options += ["--data.targets", targets, "--data.batch_size", "6", "--trainer.precision", "64-true"]
    assert main(fit(tmp_path, "run", *options)) == 0
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    model = load_model(checkpoint, RidgeReadout)
    assert (model.washout, model.ridge) == (washout, 0.01)
    cell = model.double().core.layers[0][0]
    cell.load_state_dict({k: v.double() for k, v in cell.state_dict().items()})
    loader = Padded(targets, batch_size=6, train_batches=5, seed=0).train_dataloader()
    pairs = [rows_of(batch, cell, washout) for batch in loader]
    states, wanted = (np.concatenate(parts) for parts in zip(*pairs, strict=True))
    # ridge regression as least squares with more rows, and no penalty for the intercept
    centred, mean = states - states.mean(0), wanted.mean(0)
    tall = np.vstack([centred, np.sqrt(0.01 * len(states)) * np.eye(9)])
    weight = np.linalg.lstsq(tall, np.vstack([wanted - mean, np.zeros((9, 3))]), rcond=None)[0]
    np.testing.assert_allclose(model.head.weight.detach(), weight.T, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.head.bias.detach(), mean - states.mean(0) @ weight, rtol=1e-5, atol=1e-7)

    assert main(["test", "--ckpt_path", str(checkpoint)]) == 0
    held = Padded(targets, test_size=20).test_dataloader()
    states, wanted = (
        np.concatenate(parts)
        for parts in zip(*(rows_of(batch, cell, washout) for batch in held), strict=True)
    )
    outputs = states @ weight + mean - (np.concatenate([p[0] for p in pairs]).mean(0) @ weight)
    found = pd.read_csv(tmp_path / "run/metrics.csv").iloc[-1]
    assert found["test/loss"] == pytest.approx(((outputs - wanted) ** 2).mean(), rel=1e-5)
    if targets == "classes":
        right = (outputs.argmax(1) == wanted.argmax(1)).mean()
        assert found["test/accuracy"] == pytest.approx(right, abs=1e-6)
    else:
        nrmse = (((outputs - wanted) ** 2).mean() / wanted.var(0).mean()) ** 0.5
        assert found["test/nrmse"] == pytest.approx(nrmse, rel=1e-5)


def test_predictions_are_the_saved_readouts(tmp_path):
    assert main(fit(tmp_path, "run", "--data.train_batches", "2", "--data.targets", "classes")) == 0
    checkpoint = tmp_path / "run/checkpoints/last.ckpt"
    assert main(["predict", "--ckpt_path", str(checkpoint)]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run/predictions.jsonl").read_text().splitlines()]
    model = load_model(checkpoint, RidgeReadout)
    batch = next(iter(Padded("classes", test_size=20).test_dataloader()))
    expected = model(batch)[0].argmax(-1).T.tolist()
    for row, steps, length in zip(rows, expected, batch.lengths.tolist(), strict=True):
        assert row["prediction"] == steps[:length]


def test_resumed_sums_go_on(tmp_path):
    options = ["--data.train_batches", "6", "--checkpoint.every_steps", "1"]
    assert main(fit(tmp_path, "whole", *options)) == 0
    assert main([*fit(tmp_path, "cut", *options), "--trainer.max_steps", "3"]) == 0
    resumed = ["fit", "--runs_dir", str(tmp_path), "--name", "cut", "--ckpt_path", "last"]
    assert main([*resumed, "--trainer.max_steps", "-1"]) == 0
    whole, cut = (
        torch.load(tmp_path / f"{name}/checkpoints/last.ckpt", weights_only=True) for name in ("whole", "cut")
    )
    assert whole["global_step"] == cut["global_step"] == 6
    assert whole["readout_products"][0, 0] > 1000
    for key in ("readout_products", "state_dict"):
        torch.testing.assert_close(whole[key], cut[key], rtol=0, atol=0)
    assert whole["state_dict"]["core.layers.0.0.bias"].dtype == torch.float32


def test_packs_say_why_it_trains_alone(tmp_path, capsys):
    options = ["--data.train_batches", "2"]
    commands = [fit(tmp_path, f"run{index}", *options, f"--seed_everything={index}") for index in range(2)]
    assert run_pack(commands) == [0, 0]
    assert "run one by one: a readout in closed form is no step" in capsys.readouterr().err


def test_washout_leaves_out_the_first_steps_of_each_sequence():
    torch.manual_seed(0)
    for kind in (ManyToMany, OutputFeedback):
        for targets in ("values", "classes"):
            data = Padded(targets, batch_size=4, seed=1)
            model = kind(data.task, partial(Stack, cell=LSTM, hidden_size=3), washout=4).double()
            batch = next(iter(data.train_dataloader()))
            batch = batch._replace(
                inputs=batch.inputs.double(),
                targets=batch.targets.double() if targets == "values" else batch.targets,
            )
            measured = model.measure(batch)
            outputs = model(batch)[0].transpose(0, 1)
            total, count = 0.0, 0
            for row, length in enumerate(batch.lengths.tolist()):
                for t in range(4, length):
                    y, target = outputs[row, t], batch.targets[row, t]
                    if targets == "classes" and target == IGNORED:
                        continue
                    total += (
                        (y - target).square().mean()
                        if targets == "values"
                        else torch.logsumexp(y, 0) - y[target]
                    )
                    count += 1
            assert measured.targets == count
            torch.testing.assert_close(measured.means["loss"], total / count, rtol=1e-10, atol=0)


@pytest.mark.parametrize("model", ["ManyToMany", "RidgeReadout", "OutputFeedback"])
@pytest.mark.parametrize(
    ("data", "washout", "steps"), [("NARMA10", 30, 30), ("test_topologies_ridge_readout.Padded", 6, 5)]
)
def test_a_sequence_shorter_than_the_washout_is_refused(tmp_path, capsys, model, data, washout, steps):
    length = ["--data.length", "30"] if data == "NARMA10" else []
    command = fit(tmp_path, "run", *length, "--model.washout", str(washout), model=model, data=data)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"{model}: a sequence has {steps} steps; it must have more than the washout, {washout}." in said
    assert "Traceback" not in said


def test_refusals():
    values, bits = NARMA10().task, Task("vectors", 2, "bits", 3, "step")
    reservoir = partial(Stack, cell=EchoState, hidden_size=5)
    with pytest.raises(UserError, match=r"this core has 252 parameters to train; use --model\.core\.cell Ec"):
        RidgeReadout(values, partial(Stack, cell=LSTM, hidden_size=7))
    with pytest.raises(UserError, match="this core has 5 parameters to train"):
        RidgeReadout(values, partial(reservoir, learned_initial_state=True))
    with pytest.raises(UserError, match="RidgeReadout takes data with classes or values; this data has bits"):
        RidgeReadout(bits, reservoir)
    for ridge in (0.0, -1.0, float("nan")):
        with pytest.raises(UserError, match=rf"RidgeReadout: ridge is {ridge}; it must be above 0\."):
            RidgeReadout(values, reservoir, ridge=ridge)
    with pytest.raises(UserError, match=r"ManyToMany: washout is -1; it must be at least 0\."):
        ManyToMany(values, reservoir, washout=-1)
    with pytest.raises(UserError, match="RidgeReadout takes data with one target a step"):
        RidgeReadout(Task("vectors", 2, "values", 1, "sequence"), reservoir)


def test_more_layers_and_both_directions(tmp_path):
    options = ["--model.core.layers", "2", "--model.core.bidirectional", "true", "--data.train_batches", "2"]
    assert main(fit(tmp_path, "run", *options)) == 0
    model = load_model(tmp_path / "run/checkpoints/last.ckpt", RidgeReadout)
    assert model.head.weight.shape == (3, 18)
