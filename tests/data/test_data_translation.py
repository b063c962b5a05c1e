import json
import socket

import pytest

from lit_seq.data import IGNORED, Translation, Verses, Vocabulary
from lit_seq.errors import UserError


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def translation(rows, split="train", **arguments):
    with open(f"{split}.jsonl", "w", encoding="utf-8") as file:
        for en, es in rows:
            file.write(json.dumps({"en": en, "es": es}) + "\n")
    defaults = {
        "data_files": "train.jsonl",
        "source_column": "en",
        "target_column": "es",
        "validation_fraction": 0.0,
        "test_fraction": 0.0,
        "seed": 1,
        "load_options": {"cache_dir": "c"},
    }
    return Translation("json", **(defaults | arguments))


def pairs(data, loader):
    """Undo padding and numbers."""
    source, target = data.vocabularies
    for batch in loader:
        for text, wanted, length in zip(batch.inputs, batch.targets, batch.lengths.tolist(), strict=True):
            assert not text[length:].any()
            ends = wanted.tolist().index(target.end)
            assert set(wanted[ends + 1 :].tolist()) <= {IGNORED}
            yield source.decode(text[:length]), target.decode(wanted[:ends])


ROWS = [
    ("the cat", "el gato"),
    ("the dog sleeps", "duerme el perro"),
    ("the", "el"),
    ("cat sleeps", "el gato duerme"),
]


def test_batches_by_hand():
    data = translation(ROWS, batch_size=2, splits={"validation": "train"})
    task = data.task
    assert (task.inputs, task.input_size, task.targets, task.target_size) == ("tokens", 5, "classes", 6)
    assert (task.alignment, task.target_length) == ("own", 4)
    source = Vocabulary("word", ("<unk>", "the", "cat", "sleeps", "dog"))
    target = Vocabulary("word", ("<unk>", "el", "duerme", "gato", "perro"), ends=True)
    assert task.vocabulary == source.to_dict()
    assert task.target_vocabulary == target.to_dict()
    first, second = data.val_dataloader()
    assert first.inputs.tolist() == [[1, 2, 0], [1, 4, 3]]
    assert first.targets.tolist() == [[1, 3, 5, IGNORED], [2, 1, 4, 5]]
    assert first.lengths.tolist() == [2, 3]
    assert second.inputs.tolist() == [[1, 0], [2, 3]]
    assert second.targets.tolist() == [[1, 5, IGNORED, IGNORED], [1, 3, 2, 5]]


@pytest.mark.parametrize("bucketing", [True, False])
def test_every_pair_once_an_epoch(bucketing):
    loader = (data := translation(ROWS, batch_size=1, bucketing=bucketing)).train_dataloader()
    orders = []
    for epoch in range(4):
        loader.set_epoch(epoch)
        orders.append(list(pairs(data, loader)))
        assert sorted(orders[-1]) == sorted(ROWS)
    assert len({str(order) for order in orders}) > 1


def test_long_training_pairs_are_left_out_and_long_held_out_sources_cut():
    held_out = [("the dog sleeps", "duerme el perro"), ("the", "el gato duerme el gato")]
    translation(held_out, split="validation")
    files = {"train": "train.jsonl", "validation": "validation.jsonl"}
    data = translation(ROWS, max_source_length=2, max_target_length=3, data_files=files)
    assert sorted(pairs(data, data.train_dataloader())) == [("the", "el"), ("the cat", "el gato")]
    assert list(pairs(data, data.val_dataloader())) == [("the dog", "duerme el perro"), held_out[1]]
    assert data.task.target_length == 6


def test_what_training_never_saw_is_unknown():
    translation([("the fish sleeps", "el pez duerme")], split="test")
    data = translation(ROWS, data_files={"train": "train.jsonl", "test": "test.jsonl"})
    assert list(pairs(data, data.test_dataloader())) == [("the <unk> sleeps", "el <unk> duerme")]


def test_vocabularies_of_any_unit_and_size():
    data = translation(
        ROWS,
        source_unit="character",
        target_unit="subword",
        source_vocabulary_size=5,
        target_vocabulary_size=260,
    )
    assert (data.task.input_size, data.task.target_size) == (5, 260)
    assert sorted(target for _, target in pairs(data, data.train_dataloader())) == sorted(
        es for _, es in ROWS
    )
    data = translation(ROWS, source_unit="byte", target_unit="byte", target_vocabulary_size=3)
    assert (data.task.input_size, data.task.target_size) == (256, 257)


def test_fields_of_a_column_as_wmt_has_them():
    with open("wmt.jsonl", "w", encoding="utf-8") as file:
        for en, es in ROWS:
            file.write(json.dumps({"translation": {"en": en, "es": es}}) + "\n")
    columns = {"source_column": "translation.en", "target_column": "translation.es"}
    data = translation(ROWS, data_files="wmt.jsonl", **columns)
    assert sorted(pairs(data, data.train_dataloader())) == sorted(ROWS)


def test_empty_sides_are_refused_or_left_out():
    rows = [*ROWS, ("none", " ")]
    assert wrong(rows) == (
        "Translation: row 4 of train (counted from 0) has an empty target;"
        " mend it, or set empty to leave_out."
    )
    assert wrong([("", "nada"), *ROWS]) == (
        "Translation: row 0 of train (counted from 0) has an empty source;"
        " mend it, or set empty to leave_out."
    )
    assert wrong([(None, "nada"), *ROWS]).startswith("Translation: row 0 of train")
    data = translation(rows, empty="leave_out")
    assert sorted(pairs(data, data.train_dataloader())) == sorted(ROWS)


def wrong(rows, **arguments):
    with pytest.raises(UserError) as error:
        _ = translation(rows, **arguments).task
    return str(error.value)


def test_wrong_input_is_named():
    assert wrong(ROWS, source_column="english") == (
        "train.jsonl has no column english; its columns are en, es."
    )
    assert wrong(ROWS, target_column="es.text").startswith("train.jsonl has no column es.text;")
    assert wrong([("a", 1)]) == "column es of train.jsonl holds 1, which is no text."
    assert wrong(ROWS, max_source_length=0) == ("Translation: max_source_length is 0; it must be at least 1.")
    assert wrong(ROWS, max_target_length=1) == ("Translation: max_target_length is 1; it must be at least 2.")
    assert wrong(ROWS, source_vocabulary_size=1) == (
        "Translation: source_vocabulary_size is 1; it must be at least 2."
    )
    assert wrong(ROWS, target_vocabulary_size=2) == (
        "Translation: target_vocabulary_size is 2; it must be at least 3."
    )
    assert wrong(ROWS, target_unit="subword", target_vocabulary_size=99).startswith(
        "a vocabulary of 99 is too small for subwords"
    )
    assert wrong([("a b", "c d")], max_source_length=1) == (
        "Translation: there is no pair in train within the limits."
    )


def test_a_name_of_the_hub_is_refused_at_once_without_network(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", unreachable)
    with pytest.raises(UserError, match="could not be loaded: it is not in the cache"):
        _ = Translation("bentrevett/multi30k", source_column="en", target_column="de").task


def test_verses():
    data = Verses(seed=1)
    read = data.read()["train"]
    assert len(read) == 5968
    assert max(len(text.split()) for pair in read for text in pair) == 15
    assert ("Jesus wept.", "Y lloró Jesús.") in read
    task = data.task
    assert (task.input_size, task.target_size) == (2000, 2000)
    known = set(read)
    held_out = list(pairs(data, data.val_dataloader()))
    assert len(held_out) == 298
    assert known.issuperset(held_out)
