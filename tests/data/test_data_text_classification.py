import datasets
import pytest
import torch

from lit_seq.data import IGNORED, Task, TextClassification
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def labelled(rows, header="text,label", load_options=None, **arguments):
    with open("rows.csv", "w", encoding="utf-8") as file:
        file.write("\n".join([header, *rows]) + "\n")
    arguments = {"validation_fraction": 0.0, "test_fraction": 0.0, "seed": 1} | arguments
    return TextClassification(
        "csv", data_files="rows.csv", load_options={"cache_dir": "c"} | (load_options or {}), **arguments
    )


def examples(data, loader):
    """Undo padding, numbers and classes."""
    vocabulary, labels = data.vocabulary, data.task.labels
    for inputs, targets, lengths, *_ in loader:
        for row, target, length in zip(inputs, targets.tolist(), lengths.tolist(), strict=True):
            assert (row[length:] == 0).all()
            yield vocabulary.decode(row[:length]), None if target == IGNORED else labels[target]


ROWS = ["good film,pos", "dull,neg", "so so so,none", "great,pos", "bad bad,neg"]


def test_batches_by_hand():
    data = labelled(ROWS, batch_size=2, splits={"validation": "train"})
    symbols = ("<unk>", "so", "bad", "dull", "film", "good", "great")
    assert data.task == Task(
        "tokens", 7, "classes", 3, "sequence", {"unit": "word", "symbols": symbols}, ("neg", "none", "pos")
    )
    first, second, third = data.val_dataloader()
    assert first.inputs.tolist() == [[5, 4], [3, 0]]
    assert (first.targets.tolist(), first.lengths.tolist()) == ([2, 0], [2, 1])
    assert second.inputs.tolist() == [[1, 1, 1], [6, 0, 0]]
    assert third.lengths.tolist() == [2]


def test_every_example_once_an_epoch_in_an_order_of_its_own():
    data = labelled(ROWS, batch_size=2)
    wanted = sorted(tuple(row.split(",")) for row in ROWS)
    loader = data.train_dataloader()
    orders = []
    for epoch in range(4):
        loader.set_epoch(epoch)
        orders.append(list(examples(data, loader)))
        assert sorted(orders[-1]) == wanted
    assert len({str(order) for order in orders}) > 1
    again = labelled(ROWS, batch_size=2).train_dataloader()
    again.set_epoch(3)
    assert list(examples(data, again)) == orders[3]


def test_held_out_examples_are_the_same_for_every_seed():
    rows = [f"w{i},{i % 4}" for i in range(40)]
    fractions = {"validation_fraction": 0.25, "test_fraction": 0.1, "unit": "byte"}
    parts = []
    for seed in (1, 2):
        data = labelled(rows, seed=seed, batch_size=seed, **fractions)
        loaders = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
        parts.append([sorted(examples(data, loader)) for loader in loaders])
    assert parts[0] == parts[1]
    assert [len(part) for part in parts[0]] == [26, 10, 4]
    assert sorted(parts[0][0] + parts[0][1] + parts[0][2]) == sorted(tuple(row.split(",")) for row in rows)
    other = labelled(rows, validation_seed=1, **fractions)
    assert sorted(examples(other, other.val_dataloader())) != parts[0][1]


def test_class_labels_integers_and_missing_ones():
    features = datasets.Features(
        sentence=datasets.Value("string"), stars=datasets.ClassLabel(names=["low", "high", "never"])
    )
    columns = {"text_column": "sentence", "label_column": "stars", "header": "sentence,stars"}
    data = labelled(["a,1", "b,0", "c,-1"], load_options={"features": features}, **columns)
    assert data.task.labels == ("low", "high", "never")
    assert sorted(examples(data, data.train_dataloader()), key=str) == [
        ("a", "high"),
        ("b", "low"),
        ("c", None),
    ]

    data = labelled(["a,3", "b,-1", "c,3"], **columns)
    assert data.task.labels == ("-1", "3")
    assert sorted(examples(data, data.train_dataloader())) == [("a", "3"), ("b", "-1"), ("c", "3")]


def test_long_and_empty_texts():
    data = labelled(["abcdef,x", ",y"], unit="character", max_length=4, batch_size=2)
    assert set(examples(data, data.train_dataloader())) == {("abcd", "x"), ("\ufffd", "y")}
    assert {tuple(batch.inputs.shape) for batch in data.train_dataloader()} == {(2, 4)}


def test_training_can_do_without_a_network_of_its_own(here):
    data = labelled(ROWS, vocabulary_size=3)
    assert data.task.input_size == 3
    assert torch.cat([batch.inputs.flatten() for batch in data.train_dataloader()]).max() == 2


def wrong(rows, **arguments):
    with pytest.raises(UserError) as error:
        _ = labelled(rows, **arguments).task
    return str(error.value)


def test_wrong_input_is_named(here):
    assert wrong(ROWS, label_column="stars") == "rows.csv has no column stars; its columns are text, label."
    assert (
        wrong(ROWS, text_column="sentence") == "rows.csv has no column sentence; its columns are text, label."
    )
    assert wrong(["a,0.5"]) == "column label of rows.csv holds 0.5; classes are integers or texts."
    assert wrong(["1,x"]) == "column text of rows.csv holds 1, which is no text."
    assert wrong(ROWS, splits={"train": "train[:2]", "test": "train[2:]"}) == (
        "label 'none' of rows.csv is in test; train has only neg, pos."
    )
    assert wrong(ROWS, max_length=0) == "TextClassification: max_length is 0; it must be at least 1."
    assert (
        wrong(ROWS, vocabulary_size=1) == "TextClassification: vocabulary_size is 1; it must be at least 2."
    )
    assert wrong(["a,b"], test_fraction=0.9) == "TextClassification: rows.csv has no row to train on."


def test_bucketing_saves_padding_and_loses_no_text():
    rows = [f"{'w ' * (1 + i * i % 41)},{i % 3}" for i in range(300)]
    padding = {}
    for bucketing in (False, True):
        data = labelled(rows, batch_size=8, bucketing=bucketing)
        loader = data.train_dataloader()
        for epoch in range(2):
            loader.set_epoch(epoch)
            batches = list(loader)
            assert sorted(length for batch in batches for length in batch.lengths.tolist()) == sorted(
                1 + i * i % 41 for i in range(300)
            )
        padding[bucketing] = sum(batch.inputs.numel() - batch.lengths.sum().item() for batch in batches)
    assert padding[True] < 0.2 * padding[False]
