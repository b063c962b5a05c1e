"""Whole series with classes or values."""

import datasets
import pytest
import torch

from lit_seq.cli import main
from lit_seq.data import IGNORED, SeriesClassification
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


LONG = [
    *("a,1,10,up", "b,7,0,down", "a,2,20,up", "a,4,40,up", "b,5,0,down", "c,9,1,up"),
    *("d,3,5,down", "c,9,1,up", "d,1,5,down", "d,0,5,down"),
]


def steps(rows=LONG, header="id,x,y,label", columns=("x", "y"), **arguments):
    with open("rows.csv", "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    arguments = {"validation_fraction": 0.0, "test_fraction": 0.0, "series_column": "id"} | arguments
    return SeriesClassification(
        "csv", list(columns), data_files="rows.csv", load_options={"cache_dir": "c"}, **arguments
    )


def lists(rows, columns=("x",), features=None, **arguments):
    data = datasets.Dataset.from_dict(rows)
    if features:
        data = data.cast_column(*features)
    data.to_parquet("rows.parquet")
    arguments = {"validation_fraction": 0.0, "test_fraction": 0.0, "seed": 1} | arguments
    return SeriesClassification(
        "parquet", list(columns), data_files="rows.parquet", load_options={"cache_dir": "c"}, **arguments
    )


def all_of(data, split="train"):
    """Undo batches and padding."""
    found = []
    for inputs, targets, lengths, *_ in data.loader(split):
        for series, target, length in zip(inputs, targets.tolist(), lengths.tolist(), strict=True):
            assert (series[length:] == 0).all()
            found.append((series[:length], target))
    return found


def test_steps_of_several_series_in_any_order():
    data = steps(batch_size=3)
    task = data.task
    assert (task.inputs, task.input_size, task.features) == ("vectors", 2, ("x", "y"))
    assert (task.targets, task.target_size, task.alignment) == ("classes", 2, "sequence")
    assert task.labels == ("down", "up")
    x = torch.tensor([1.0, 2, 4, 7, 5, 9, 9, 3, 1, 0])
    y = torch.tensor([10.0, 20, 40, 0, 0, 1, 1, 5, 5, 5])
    x, y = ((of - of.mean()) / of.std(correction=0) for of in (x, y))
    expected = [
        (torch.stack([x[part], y[part]], 1), target)
        for part, target in ((slice(0, 3), 1), (slice(3, 5), 0), (slice(5, 7), 1), (slice(7, 10), 0))
    ]
    found = all_of(data)
    assert len(found) == 4
    for series, target in expected:
        assert any(
            target == other and series.shape == like.shape and torch.allclose(series, like, atol=1e-6)
            for like, other in found
        )


def test_lists_with_class_labels_of_datasets():
    names = datasets.ClassLabel(names=["rest", "walk", "run"])
    data = lists({"x": [[1, 2, 3], [4], [5, 6]], "label": [2, -1, 0]}, features=("label", names))
    assert data.task.labels == ("rest", "walk", "run")
    assert sorted((len(series), target) for series, target in all_of(data)) == [(1, IGNORED), (2, 0), (3, 2)]


def test_values_to_tell():
    data = lists({"x": [[1.0, 2.0], [3.0, 4.0, 5.0]], "label": [0.5, 200.0]}, targets="values")
    task = data.task
    assert (task.targets, task.target_size, task.labels) == ("values", 1, None)
    assert sorted((len(series), target) for series, target in all_of(data)) == [(2, [0.5]), (3, [200.0])]


def test_held_out_series_are_others_and_do_not_set_the_scale():
    rows = {"x": [[float(i)] * 2 for i in range(50)], "label": [i % 2 for i in range(50)]}
    data = lists(rows, validation_fraction=0.2, test_fraction=0.1, batch_size=8)
    parts = {split: all_of(data, split) for split in ("train", "validation", "test")}
    assert {split: len(of) for split, of in parts.items()} == {"train": 35, "validation": 10, "test": 5}
    values = [round(series[0, 0].item(), 5) for of in parts.values() for series, _ in of]
    assert len(set(values)) == 50
    train = torch.cat([series for series, _ in parts["train"]])
    assert train.mean().item() == pytest.approx(0, abs=1e-6)
    assert train.std(correction=0).item() == pytest.approx(1, abs=1e-6)


def test_series_of_similar_lengths_train_together():
    rows = {"x": [[0.0] * (1 + i % 10) + [1.0] for i in range(200)], "label": [0, 1] * 100}
    loader = lists(rows, batch_size=20).train_dataloader()
    assert len(loader) == 10
    for batch in loader:
        assert batch.lengths.max() == batch.lengths.min()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (
            lambda: steps(["a,1,0,up", "a,2,0,down"]),
            r"holds 'down' in row 2, but the same series has 'up' in row 1",
        ),
        (lambda: steps(["a,1,,up"]), r"column y of rows.csv holds nothing in row 1"),
        (
            lambda: steps(label_column="kind"),
            r"rows.csv has no column kind; its columns are id, x, y, label\.",
        ),
        (lambda: steps(columns=["z"]), r"rows.csv has no column z; its columns are id, x, y, label\."),
        (lambda: lists({"x": [[1.0]], "label": [0.5]}), r"holds 0.5; classes are integers or texts\."),
        (
            lambda: lists({"x": [[1.0]], "label": ["a"]}, targets="values"),
            r"holds 'a'; with targets values every series needs a finite number\.",
        ),
        (
            lambda: lists({"x": [[1.0], []], "label": [0, 1]}),
            r"column x of rows.parquet holds a list of 0 in row 2",
        ),
    ],
)
def test_wrong_data_is_refused(make, sentence):
    with pytest.raises(UserError, match=sentence) as refusal:
        _ = make().task
    assert "\n" not in str(refusal.value)


def test_a_class_that_is_only_held_out_is_refused():
    for name, label in (("train", 0), ("test", 1)):
        datasets.Dataset.from_dict({"x": [[1.0]], "label": [label]}).to_parquet(f"{name}.parquet")
    files = {"train": "train.parquet", "test": "test.parquet"}
    data = SeriesClassification("parquet", ["x"], data_files=files, load_options={"cache_dir": "c"})
    with pytest.raises(UserError, match=r"label 1 of .* is in test; train has only 0\."):
        _ = data.task


def test_from_the_command_line():
    torch.manual_seed(0)
    slopes = torch.tensor([-1.0, 1.0]).repeat(60)
    series = [
        (slope * torch.linspace(0, 2, 5 + i % 4) + 3 * torch.randn(1)).tolist()
        for i, slope in enumerate(slopes)
    ]
    labels = ["falls" if slope < 0 else "rises" for slope in slopes]
    datasets.Dataset.from_dict({"level": series, "way": labels}).to_parquet("slopes.parquet")
    command = [
        *("fit", "--model", "ManyToOne", "--model.core.cell", "GRU", "--model.core.hidden_size", "8"),
        *("--data", "SeriesClassification", "--data.path", "parquet", "--data.data_files", "slopes.parquet"),
        *("--data.columns", "[level]", "--data.label_column", "way", "--optimizer.lr", "0.03"),
        *(
            "--data.load_options",
            '{"cache_dir": "c"}',
            "--trainer.max_epochs",
            "20",
            "--seed_everything",
            "0",
        ),
        *(
            "--trainer.enable_progress_bar",
            "false",
            "--wandb.mode",
            "disabled",
            "--runs_dir",
            "r",
            "--name",
            "slopes",
        ),
    ]
    assert main(command) == 0
    assert main(["test", "--ckpt_path", "r/slopes/checkpoints/last.ckpt"]) == 0
    with open("r/slopes/metrics.csv", encoding="utf-8") as file:
        header, *_, last = file.read().splitlines()
    assert float(dict(zip(header.split(","), last.split(","), strict=True))["test/accuracy"]) == 1
