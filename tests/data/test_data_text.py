"""Long text from every kind of file, and each wrong input by its sentence."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_seq.data import Text
from lit_seq.errors import UserError

BOOK = "\n".join(f"Chapter {i}.\n\n  It was é — “so”.\t\x0c\u2028\x85" for i in range(40))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def text(path="text", load_options=None, **arguments):
    return Text(path, load_options={"cache_dir": "cache", **(load_options or {})}, **arguments)


def wrong(**arguments):
    with pytest.raises(UserError) as error:
        _ = text(**arguments).task
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_book_is_reproduced_to_the_last_character(here):
    for end in ("", "\n"):
        (here / "book.txt").write_text(BOOK + end, encoding="utf-8")
        data = text(
            data_files="book.txt", validation_fraction=0.0, test_fraction=0.0, batch_size=1, chunk_length=1
        )
        assert data.read() == {"train": BOOK + end}
        batches = list(data.train_dataloader())
        assert data.vocabulary.decode(torch.cat([batch.inputs[0] for batch in batches])) == (BOOK + end)[:-1]


def test_reading_files_is_quiet(here, capfd):
    (here / "book.txt").write_text(BOOK)
    text(data_files="book.txt").read()
    assert capfd.readouterr() == ("", "")


def test_an_edited_file_is_read_again(here):
    for content in ("first\n", "second\n"):
        (here / "book.txt").write_text(content)
        assert text(data_files="book.txt").read() == {"train": content}


def test_any_line_break_becomes_a_newline(here):
    (here / "book.txt").write_bytes(b"a\r\nb\rc\n")
    assert text(data_files="book.txt").read() == {"train": "a\nb\nc\n"}


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
def test_rows_of_a_table(kind, here):
    table = pd.DataFrame({"number": [1, 2, 3], "line": ["to be", None, "not, to\nbe"]})
    getattr(table, f"to_{kind}")(f"lines.{kind}", **({"orient": "records"} if kind == "json" else {}))
    assert text(kind, data_files=f"lines.{kind}", column="line").read() == {"train": "to be\n\nnot, to\nbe"}
    joined = text(kind, data_files=f"lines.{kind}", column="line", separator="|").read()
    assert joined == {"train": "to be||not, to\nbe"}


def test_splits_files_and_streaming(here):
    for name in ("a", "b", "c"):
        (here / f"{name}.txt").write_text(name * 20 + "\n")
    files = {"train": ["a.txt", "b.txt"], "dev": "c.txt"}
    for load_options in ({}, {"streaming": True}):
        data = text(data_files=files, splits={"validation": "dev"}, load_options=load_options)
        assert data.read() == {"train": "a" * 20 + "\n" + "b" * 20 + "\n", "validation": "c" * 20 + "\n"}
    sliced = text(data_files=files, splits={"train": "train[1:]", "test": "train[:1]"})
    assert sliced.read() == {"train": "b" * 20 + "\n", "test": "a" * 20 + "\n"}


def test_a_folder(here):
    (here / "books").mkdir()
    (here / "books" / "train.txt").write_text("one\n")
    (here / "books" / "test.txt").write_text("two\n")
    assert text("text", data_dir="books").read() == {"train": "one\n", "test": "two\n"}
    assert text("./books").read() == {"train": "one", "test": "two"}


def test_no_more_is_read_than_asked_for(here):
    (here / "book.txt").write_text("line\n" * 3000)
    data = text(data_files="book.txt", max_characters=12)
    assert 12 <= len(data.read()["train"]) < 20


def test_missing_empty_and_broken_files(here):
    assert wrong(data_files="none.txt") == (
        f"none.txt could not be loaded: Unable to find '{here}/none.txt'."
    )
    (here / "empty.txt").write_text("")
    assert wrong(data_files="empty.txt") == "empty.txt could not be loaded: it is empty."
    (here / "header.csv").write_text("text\n")
    assert wrong(path="csv", data_files="header.csv") == "header.csv could not be loaded: it is empty."
    (here / "blank.csv").write_text('text,a\n"",1\n')
    assert wrong(path="csv", data_files="blank.csv") == "Text: the train text of blank.csv is empty."
    (here / "latin.txt").write_bytes("é".encode("latin-1"))
    assert wrong(data_files="latin.txt") == (
        "latin.txt could not be loaded: 'utf-8' codec can't decode byte 0xe9 in position 0: unexpected end"
        " of data."
    )
    assert text(data_files="latin.txt", load_options={"encoding": "latin-1"}).read() == {"train": "é"}
    (here / "broken.json").write_text("{nothing")
    assert wrong(path="json", data_files="broken.json").startswith(
        "broken.json could not be loaded: JSON parse"
    )


def test_short_text(here):
    (here / "book.txt").write_text("x" * 1000)
    assert wrong(data_files="book.txt", batch_size=10, chunk_length=90) == (
        "Text: chunk_length 90 is longer than a stream: 900 characters of training text make 10"
        " streams (batch_size) of 89 each; lower one."
    )


def test_wrong_columns_splits_and_options(here):
    (here / "lines.csv").write_text("a,b\n1,x\n")
    lines = {"path": "csv", "data_files": "lines.csv"}
    assert wrong(**lines) == "lines.csv has no column text; its columns are a, b."
    assert wrong(**lines, column="a") == "column a of lines.csv holds 1, which is no text."
    assert (
        wrong(**lines, load_options={"streaming": True})
        == "lines.csv has no column text; its columns are a, b."
    )
    assert wrong(**lines, splits={"valid": "train"}) == (
        "splits has the key valid; allowed are train, validation and test."
    )
    assert wrong(**lines, column="b", splits={"test": "dev"}) == (
        "lines.csv could not be loaded: Unknown split \"dev\". Should be one of ['train']."
    )
    assert wrong(path="csv", data_files={"dev": "lines.csv"}) == (
        "{'dev': 'lines.csv'} has no split train, only dev; name one with splits.train."
    )
    assert wrong(**lines, load_options={"split": "train"}) == (
        "load_options has the key split; use the argument splits instead."
    )
    assert "unexpected keyword argument 'colum'" in wrong(**lines, load_options={"colum": 1})


def test_fields_of_a_column(here):
    pd.DataFrame({"pair": [{"en": "cat", "fr": "chat"}] * 9, "n": [1] * 9}).to_parquet("pairs.parquet")
    pairs = {"path": "parquet", "data_files": "pairs.parquet", "separator": " "}
    assert text(**pairs, column="pair.fr").read() == {"train": " ".join(["chat"] * 9)}
    assert wrong(**pairs, column="pair.de") == (
        "pairs.parquet has no column pair.de; pair holds the fields en, fr."
    )
    assert wrong(**pairs, column="n.de") == "pairs.parquet has no column n.de; n holds no fields."
    assert wrong(**pairs, column="no.de") == "pairs.parquet has no column no.de; its columns are pair, n."


def test_paths_that_mean_something_else(here):
    assert wrong(path="text") == "path is the format text, so data_files or data_dir must name the files."
    (here / "book.txt").write_text("x")
    assert wrong(path="book.txt") == (
        "path is the file book.txt; give it as data_files, and its format (such as text) as path."
    )
    assert wrong(path="./none") == (
        "path ./none does not exist; allowed are a folder, a name on the hub, or a file format (text, csv,"
        " json, parquet, …) with data_files."
    )
    (here / "imdb").mkdir()
    assert wrong(path="imdb") == (
        "path imdb is a folder here and may be a data set of the hub; write ./imdb for the folder or"
        " hf://datasets/imdb for the hub."
    )


def test_hub_name_without_network(here):
    start = time.monotonic()
    assert wrong(path="stanfordnlp/imdb") == (
        "stanfordnlp/imdb could not be loaded: it is not in the cache, and the hub cannot be reached (no"
        " network, or HF_HUB_OFFLINE is set)."
    )
    assert time.monotonic() - start < 5


def test_arguments_are_what_the_command_line_says(here):
    from jsonargparse import ArgumentParser

    from lit_seq.data import SequenceData

    parser = ArgumentParser()
    parser.add_subclass_arguments(SequenceData, "data")
    command = "--data lit_seq.data.Text --data.path text --data.data_files book.txt"
    arguments = parser.parse_args(
        [*command.split(), "--data.chunk_length=7", "--data.load_options.cache_dir=cache"]
    )
    assert json.loads(json.dumps(arguments.as_dict())) == arguments.as_dict()
    (here / "book.txt").write_text(BOOK)
    data = parser.instantiate_classes(arguments).data
    assert data.chunk_length == 7
    assert data.read() == {"train": BOOK}


def test_importing_is_cheap():
    seen = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, lit_seq.data; print({'datasets', 'pandas'} & set(sys.modules))",
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert seen.stdout == "set()\n"
