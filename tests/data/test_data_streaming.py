"""Text that stays on the disk gives the batches that it gives from memory."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from lit_seq.data import Text
from lit_seq.data import text as text_module
from lit_seq.data.source import Source
from lit_seq.data.stored import made_once
from lit_seq.errors import UserError

ROOT = Path(__file__).parents[2]
BOOK = "".join(f"Line {i % 7} of  the {'ab cdé “—' * (i % 3)} book\n" for i in range(60))


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(text_module, "PIECE", 50)
    return tmp_path


def text(path="text", streaming=True, **arguments):
    arguments = {"data_files": "book.txt", "batch_size": 3, "chunk_length": 11} | arguments
    return Text(path, load_options={"cache_dir": "cache"}, streaming=streaming, **arguments)


def batches(data):
    loaders = [data.train_dataloader(), data.val_dataloader(), data.test_dataloader()]
    return [[(batch.inputs.tolist(), batch.targets.tolist()) for batch in loader] for loader in loaders]


@pytest.mark.parametrize("unit", ["character", "byte", "word", "subword"])
def test_batches_are_those_from_memory(unit, here):
    files = {}
    for split, part in (("train", BOOK), ("validation", BOOK[300:900]), ("test", BOOK[100:2000])):
        (here / f"{split}.txt").write_text(part, encoding="utf-8")
        files[split] = f"{split}.txt"
    size = 280 if unit == "subword" else None
    here_or_there = [
        text(streaming=streaming, data_files=files, unit=unit, vocabulary_size=size, num_workers=workers)
        for streaming, workers in ((False, 0), (True, 0), (True, 1))
    ]
    memory, streamed, by_worker = (batches(data) for data in here_or_there)
    assert streamed == memory == by_worker
    assert len(memory[0]) > 1
    assert here_or_there[0].task == here_or_there[1].task


def test_held_out_text_is_the_end(here):
    (here / "book.txt").write_text(BOOK, encoding="utf-8")
    fractions = {"validation_fraction": 0.1, "test_fraction": 0.2, "batch_size": 1, "chunk_length": 1}
    data = text(**fractions)
    parts = [
        data.vocabulary.decode(torch.cat([batch.inputs[0] for batch in loader]))
        for loader in (data.train_dataloader(), data.val_dataloader(), data.test_dataloader())
    ]
    length = len(BOOK)
    held_out, tested = round(0.1 * length), round(0.2 * length)
    train = length - held_out - tested
    # The last symbol of each part is a target only.
    assert parts == [BOOK[: train - 1], BOOK[train : train + held_out - 1], BOOK[length - tested : -1]]


@pytest.mark.parametrize(("symbols", "width"), [(255, 1), (256, 2), (70_000, 4)])
def test_a_number_takes_as_many_bytes_as_it_needs(symbols, width, here):
    (here / "book.txt").write_text("".join(chr(0x10000 + i) for i in range(symbols)), encoding="utf-8")
    data = text(validation_fraction=0, test_fraction=0, batch_size=1)
    assert len(data.vocabulary) == symbols + 1
    (file,) = (here / "cache" / "lit_seq").glob("*/train")
    assert file.stat().st_size == width * symbols
    seen = torch.cat([batch.targets[0] for batch in data.train_dataloader()])
    assert torch.equal(seen, torch.arange(2, 2 + len(seen)))


def test_rows_and_their_separator(here):
    pd.DataFrame({"line": ["to be", None, "not", "or " * 40, ""]}).to_csv("rows.csv", index=False)
    for limit in (None, 13, 60):
        arguments = {"column": "line", "separator": "|", "data_files": "rows.csv", "max_characters": limit}
        arguments |= {"batch_size": 1, "chunk_length": 1, "validation_fraction": 0, "test_fraction": 0}
        data = text("csv", **arguments)
        seen = data.vocabulary.decode(torch.cat([batch.targets[0] for batch in data.train_dataloader()]))
        assert seen == ("to be||not|" + "or " * 40 + "|")[1:limit]


def test_symbols_behind_those_of_the_vocabulary_are_unknown(here):
    (here / "book.txt").write_text("abab" * 30 + "\n" + "abz" * 30)
    data = text(vocabulary_characters=4, validation_fraction=0, test_fraction=0)
    assert data.vocabulary.symbols == ("\ufffd", "a", "b")
    assert {number for batch in data.train_dataloader() for number in batch.inputs.flatten().tolist()} == {
        0,
        1,
        2,
    }


def test_it_is_encoded_once_and_again_when_edited(here, monkeypatch):
    (here / "book.txt").write_text(BOOK, encoding="utf-8")
    first = batches(text())
    loaded = []
    load = Source.load
    monkeypatch.setattr(Source, "load", lambda self: loaded.append(self) or load(self))
    assert batches(text()) == first
    assert not loaded
    assert text(unit="word").task.input_size < 60
    (here / "book.txt").write_text(BOOK[1:], encoding="utf-8")
    assert batches(text()) != first
    assert len(loaded) == 2


def test_what_fails_leaves_nothing(here):
    def fail(folder):
        (folder / "half").write_text("")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        made_once(here / "kept" / "name", fail)
    assert [path.name for path in (here / "kept").iterdir()] == ["name.lock"]


def test_wrong_input_is_named(here):
    (here / "book.txt").write_text(BOOK, encoding="utf-8")

    def wrong(**arguments):
        with pytest.raises(UserError) as error:
            _ = text(**arguments).task
        return str(error.value)

    assert wrong(column="line") == "book.txt has no column line; its columns are text."
    assert wrong(vocabulary_characters=0) == "Text: vocabulary_characters is 0; it must be at least 1."
    assert wrong(splits={"test": "train[:10]"}).startswith(
        "book.txt could not be loaded: Bad split: train[:10]."
    )
    assert "chunk_length 900 is longer than a stream" in wrong(chunk_length=900)
    assert wrong(data_files="none.txt") == f"none.txt could not be loaded: Unable to find '{here}/none.txt'."


PEAK = """
import itertools, re, sys
from lit_seq.data import Text
data = Text("text", data_files=sys.argv[1], load_options={"cache_dir": sys.argv[2]}, streaming=True)
for batch in itertools.islice(data.train_dataloader(), 200):
    pass
# ru_maxrss would begin with what the parent had when it forked.
print(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_text():
    plays = (ROOT / "lit_seq" / "data" / "shakespeare" / "plays.txt").read_bytes()
    environment = {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    peaks = []
    for copies in (60, 260):
        Path("long.txt").write_bytes(plays * copies)
        command = [sys.executable, "-c", PEAK, "long.txt", "cache"]
        run = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        peaks.append(int(run.stdout) / 1000)
    # MB, of the 204 by which the text is longer.
    assert peaks[1] - peaks[0] < 60
