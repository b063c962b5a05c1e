import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lit_seq.data import Shakespeare, TextStreams
from lit_seq.errors import UserError


class Given(TextStreams):
    """Streams of texts that stand in the test."""

    def __init__(self, texts, **streams):
        super().__init__(**streams)
        self.texts = texts

    def read(self):
        return dict(self.texts)


def streams(loader):
    """Join each row's chunks again; targets beside inputs."""
    batches = list(loader)
    return [torch.cat([getattr(batch, part) for batch in batches], dim=1) for part in ("inputs", "targets")]


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_streams_cover_the_text_once_and_in_order(draw):
    batch_size = draw.draw(st.integers(1, 5))
    chunk_length = draw.draw(st.integers(1, 6))
    length = draw.draw(st.integers(batch_size * chunk_length + 1, 200))
    text = "".join(chr(0x4E00 + i) for i in range(length))
    held_out = text[: draw.draw(st.integers(2, length))]
    texts = {"train": text, "validation": held_out}
    data = Given(texts, batch_size=batch_size, chunk_length=chunk_length, test_fraction=0.0)

    inputs, targets = streams(data.train_dataloader())
    assert {batch.inputs.shape for batch in data.train_dataloader()} == {(batch_size, chunk_length)}
    each = (length - 1) // batch_size
    used = each // chunk_length * chunk_length
    for row in range(batch_size):
        start = row * each
        assert data.vocabulary.decode(inputs[row]) == text[start : start + used]
        assert data.vocabulary.decode(targets[row]) == text[start + 1 : start + 1 + used]

    inputs, targets = streams(data.val_dataloader())
    joined = "".join(data.vocabulary.decode(row) for row in inputs)
    assert held_out.startswith(joined)
    assert "".join(data.vocabulary.decode(row) for row in targets) == held_out[1 : len(joined) + 1]
    assert len(held_out) - 1 - len(joined) < len(inputs) <= batch_size
    assert len(inputs) == batch_size or inputs.shape[1] < 2 * chunk_length


def test_held_out_text_is_cut_from_the_end():
    text = "".join(chr(0x4E00 + i) for i in range(100))
    data = Given({"train": text}, batch_size=2, chunk_length=3, validation_fraction=0.2, test_fraction=0.1)
    task = data.task
    assert (task.inputs, task.targets, task.alignment) == ("tokens", "classes", "next")
    assert task.input_size == task.target_size == 71
    assert task.vocabulary["symbols"][1:] == tuple(text[:70])
    assert len(data.val_dataloader()) == 3
    assert len(data.test_dataloader()) == len(data.predict_dataloader()) == 2


def test_validation_text_comes_before_test_text():
    fractions = {"validation_fraction": 0.2, "test_fraction": 0.1}
    text = "a" * 70 + "b" * 20 + "c" * 10
    data = Given({"train": text}, unit="byte", batch_size=1, chunk_length=5, **fractions)
    parts = (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    assert [set(streams(part)[0].flatten().tolist()) for part in parts] == [{97}, {98}, {99}]


def test_text_given_as_validation_is_not_cut():
    texts = {"train": "ab" * 50, "validation": "ba" * 10}
    data = Given(texts, batch_size=2, chunk_length=5, test_fraction=0.0)
    train, validation = streams(data.train_dataloader())[0], streams(data.val_dataloader())[0]
    assert train.shape == (2, 45)
    assert validation.numel() == 18
    with pytest.raises(UserError, match="there is no test data, because its share of the data is 0"):
        data.test_dataloader()


def test_no_validation_at_all():
    data = Given({"train": "ab" * 50}, batch_size=2, chunk_length=5, validation_fraction=0.0)
    assert data.val_dataloader() == []


def test_what_training_never_saw_is_unknown():
    data = Given({"train": "ab" * 50, "validation": "abc"}, batch_size=2, chunk_length=5)
    assert streams(data.val_dataloader())[1].tolist() == [[data.vocabulary.encode("b").item(), 0]]
    small = Given({"train": "aab" * 50, "validation": "ab"}, batch_size=2, chunk_length=5, vocabulary_size=2)
    assert small.task.input_size == 2


def test_at_most_so_many_characters():
    data = Given({"train": "ab" * 500, "test": "ab" * 500}, max_characters=40, batch_size=2, chunk_length=5)
    assert sum(batch.inputs.numel() for batch in data.test_dataloader()) == 38
    assert sum(batch.inputs.numel() for batch in data.train_dataloader()) == 30


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"chunk_length": 50, "batch_size": 50, "validation_fraction": 0.0, "test_fraction": 0.0},
            "Given: chunk_length 50 is longer than a stream: 100 characters of training text make 50 streams"
            " (batch_size) of 1 each; lower one.",
        ),
        ({"chunk_length": 0}, "Given: chunk_length is 0; it must be at least 1."),
        ({"batch_size": 0}, "Given: batch_size is 0; it must be at least 1."),
        ({"vocabulary_size": 1}, "Given: vocabulary_size is 1; it must be at least 2."),
        ({"max_characters": 0}, "Given: max_characters is 0; it must be at least 1."),
        ({"num_workers": -1}, "Given: num_workers is -1; it must be at least 0."),
        (
            {"validation_fraction": 0.5, "test_fraction": 0.5},
            "Given: validation_fraction is 0.5 and test_fraction 0.5; neither may be negative, and their sum"
            " must be less than 1.",
        ),
        (
            {"validation_fraction": 0.01, "batch_size": 1, "chunk_length": 5},
            "Given: the validation text has 1 characters; it needs at least 2, or a"
            " validation_fraction of 0.",
        ),
        (
            {"unit": "word", "batch_size": 1, "chunk_length": 1},
            "Given: chunk_length 1 is longer than a stream: 1 words of training text make 1 streams"
            " (batch_size) of 0 each; lower one.",
        ),
    ],
)
def test_wrong_arguments_are_named(arguments, sentence):
    with pytest.raises(UserError) as error:
        _ = Given({"train": "ab" * 50}, **arguments).task
    assert str(error.value) == sentence


def test_shakespeare_is_a_play():
    data = Shakespeare()
    text = data.read()["train"]
    assert 1_000_000 < len(text) < 1_100_000
    assert 65 <= len(set(text)) <= 75
    assert text.startswith("HAMLET\n\nACT I\n\nSCENE I. ELSINORE.")
    assert "\n\nHAMLET\nTo be, or not to be: that is the question:\nWhether 'tis nobler" in text
    assert text.count("[") == text.count("]") > 1000
    assert not set("*#_\\\t\r") & set(text)
    for play in ("MACBETH", "ROMEO AND JULIET", "OTHELLO", "KING LEAR", "JULIUS CAESAR", "THE TEMPEST"):
        assert f"\n\n\n{play}\n\n" in text
    # all that is there is known, so that no unknown symbol is ever scored
    assert all((batch.inputs != 0).all() for batch in data.val_dataloader())
    assert data.task.input_size == 66
