"""The feed-forward baseline: its equations, what it learns, packs and checkpoints."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lit_seq.checkpoint_file import load_model
from lit_seq.cli import main
from lit_seq.data import IGNORED, Batch, Digits, Task
from lit_seq.errors import UserError
from lit_seq.packing.run import run_pack
from lit_seq.topologies import OneToOne

PHI = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    "gelu": lambda x: torch.nn.functional.gelu(torch.tensor(x)).numpy(),
}
TASKS = {
    "classes": Task("vector", 3, "classes", 4, "sequence", labels=("a", "b", "c", "d")),
    "values": Task("vector", 3, "values", 2, "sequence"),
    "bits": Task("vector", 3, "bits", 2, "sequence"),
}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("activation", PHI)
@pytest.mark.parametrize("layers", [0, 1, 3])
def test_outputs_are_the_equations(activation, layers):
    torch.manual_seed(0)
    model = OneToOne(TASKS["classes"], 5, layers, activation)
    x = h = np.random.default_rng(0).normal(size=(6, 3))
    weights = [parameter.detach().numpy() for parameter in model.parameters()]
    assert len(weights) == 2 * (layers + 1)
    for weight, bias in zip(weights[:-2:2], weights[1:-2:2], strict=True):
        h = PHI[activation](h @ weight.T + bias)
    expected = h @ weights[-2].T + weights[-1]
    np.testing.assert_allclose(model(torch.tensor(x)).detach().numpy(), expected, rtol=1e-12)
    targets = torch.tensor([0, 1, 2, 3, IGNORED, 2])
    odds = np.log(np.exp(expected) / np.exp(expected).sum(1, keepdims=True))
    measured = model.measure(Batch(torch.tensor(x), targets))
    lost = -np.mean([odds[i, t] for i, t in enumerate(targets.tolist()) if t != IGNORED])
    assert measured.means["loss"].item() == pytest.approx(lost, rel=1e-12)
    assert measured.targets == 5
    row = model.predictions(Batch(torch.tensor(x), targets))[4]
    assert row["target"] is None
    assert row["prediction"] == "abcd"[expected[4].argmax()]
    assert row["probability"] == pytest.approx(np.exp(odds[4].max()))


@pytest.mark.parametrize("kind", ["values", "bits"])
def test_values_and_bits(kind):
    model = OneToOne(TASKS[kind]).eval()
    inputs = torch.randn(5, 3)
    outputs = model(inputs)
    targets = torch.randn(5, 2) if kind == "values" else torch.randint(2, (5, 2))
    means = model.measure(Batch(inputs, targets)).means
    if kind == "values":
        assert means["loss"].item() == pytest.approx((outputs - targets).square().mean().item(), rel=1e-5)
        assert "val/nrmse" in model.reported("val", means)
    else:
        right = ((outputs > 0) == (targets > 0)).float().mean().item()
        assert means["accuracy"].item() == pytest.approx(right)
    rows = model.predictions(Batch(inputs, targets))
    assert [row["target"] for row in rows] == targets.tolist()
    assert len(model.samples([Batch(inputs, targets)])) == 5


def test_an_image_is_its_pixels_or_what_a_network_sees():
    data = Digits("none", batch_size=7)
    batch = next(iter(data.train_dataloader()))
    assert batch.inputs.shape == (7, 1, 8, 8)
    pixels = OneToOne(data.task, 9)
    assert pixels.hidden[0].in_features == 64
    seen = OneToOne(data.task, 9, image_features=12)
    assert seen.hidden[0].in_features == 12
    for model in (pixels, seen):
        model.measure(batch).means["loss"].backward()
        assert all(parameter.grad is not None for parameter in model.parameters())
        assert model.eval().samples([batch])[0].image.startswith("data:image/png;base64,")


def command(folder, name, index, *options):
    return [
        *("fit", "--model", "OneToOne", "--model.layers=2", "--model.hidden_size=32", "--data", "Digits"),
        *(
            "--data.steps=none",
            "--data.batch_size=128",
            "--trainer.max_steps=60",
            "--trainer.precision=64-true",
        ),
        *("--trainer.check_val_every_n_epoch=null", "--trainer.val_check_interval=30"),
        *("--trainer.log_every_n_steps=1", "--trainer.enable_progress_bar=false", "--wandb.mode=disabled"),
        *(f"--seed_everything={index}", f"--model.dropout=0.{index}", f"--optimizer.lr=0.0{index + 3}"),
        *("--runs_dir", str(folder), "--name", f"{name}{index}", *options),
    ]


def test_packed_trials_equal_solo_runs_and_predict_from_their_checkpoints(tmp_path, capsys):
    assert run_pack([command(tmp_path, "packed", index) for index in range(3)]) == [0, 0, 0]
    said = capsys.readouterr().err
    assert "A pack of 3 trials" in said
    assert "one by one" not in said
    for index in range(3):
        assert main(command(tmp_path, "solo", index)) == 0
        alone, stacked = (pd.read_csv(tmp_path / f"{name}{index}/metrics.csv") for name in ("solo", "packed"))
        assert sorted(alone) == sorted(stacked)
        for column in alone:
            rtol = 2e-7 if column.startswith("val/") else 1e-8
            pd.testing.assert_series_equal(alone[column], stacked[column], rtol=rtol, atol=1e-12)
    assert alone["val/accuracy"].iloc[-1] > 0.8
    path = tmp_path / "packed0/checkpoints/last.ckpt"
    assert main(["predict", "--ckpt_path", str(path)]) == 0
    model = load_model(path, OneToOne).double().eval()
    lines = [json.loads(line) for line in (tmp_path / "packed0/predictions.jsonl").read_text().splitlines()]
    with torch.no_grad():
        batches = [batch._replace(inputs=batch.inputs.double()) for batch in Digits("none").test_dataloader()]
        rows = [row for batch in batches for row in model.predictions(batch)]
    assert [row["prediction"] for row in rows] == [line["prediction"] for line in lines]
    assert sum(row["prediction"] == row["target"] for row in rows) / len(rows) > 0.8


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: OneToOne(Digits().task), "takes data with a vector without time or an image without time"),
        (lambda: OneToOne(TASKS["bits"], 0), "layers is 1 and hidden_size 0; they must be at least 0 and 1"),
        (lambda: OneToOne(TASKS["bits"], dropout=1.0), r"dropout is 1\.0; it must be at least 0 and below 1"),
        (
            lambda: OneToOne(TASKS["bits"], image_features=4),
            "image_features is 4; for vectors it must be null",
        ),
        (lambda: OneToOne(Task("image", 1, "classes", 2, "sequence")), "needs images of one size"),
    ],
)
def test_refusals(make, sentence):
    with pytest.raises(UserError, match=sentence):
        make()
