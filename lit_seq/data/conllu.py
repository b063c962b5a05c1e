"""CoNLL-U, the format of treebanks."""

import gzip
from collections.abc import Iterable, Iterator
from glob import glob
from pathlib import Path

from lit_seq.data.module import Split
from lit_seq.data.source import Source
from lit_seq.errors import UserError

COLUMNS = ("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")

Rows = list[list[str]]
"""The words of a sentence, each with its columns."""


def load(source: Source) -> dict[Split, list[Rows]]:
    """Return the sentences of each split.

    Args:
        source: its data files are files in CoNLL-U, which may be packed by gzip; those that are not given by
            split are for training.

    Raises:
        UserError: there are no such files, or one is no CoNLL-U.
    """
    if not source.data_files:
        raise UserError("path is the format conllu, so data_files must name the files.")
    by_split = source.data_files if isinstance(source.data_files, dict) else {"train": source.data_files}
    found: dict[Split, list[Rows]] = {}
    splits: tuple[Split, ...] = ("train", "validation", "test")
    for split in splits:
        patterns = by_split.get(source.splits.get(split, split), [])
        paths = [Path(path) for path in _files([patterns] if isinstance(patterns, str) else patterns)]
        if paths:
            found[split] = [sentence for path in paths for sentence in _sentences(path)]
    if "train" not in found:
        raise UserError(
            f"{source} has no split train, only {', '.join(by_split)}; name one with splits.train."
        )
    return found


def column(sentence: Rows, name: str) -> list[str]:
    """Return one column of a sentence.

    Raises:
        UserError: there is no such column.
    """
    if name not in COLUMNS:
        raise UserError(f"CoNLL-U has no column {name}; its columns are {', '.join(COLUMNS)}.")
    return [row[COLUMNS.index(name)] for row in sentence]


def _files(patterns: Iterable[str]) -> Iterator[str]:
    for pattern in patterns:
        paths = sorted(glob(pattern))
        if not paths:
            raise UserError(f"there is no file {pattern}.")
        yield from paths


def _sentences(path: Path) -> Iterator[Rows]:
    """Yield the sentences of a file, less words that are parts of others or stand nowhere (1-2, 1.1)."""
    opened = gzip.open if path.suffix == ".gz" else open
    rows: Rows = []
    with opened(path, "rt", encoding="utf-8") as file:
        for number, line in enumerate([*file, "\n"], 1):
            fields = line.rstrip("\n").split("\t")
            if fields == [""]:
                if rows:
                    yield rows
                rows = []
            elif not line.startswith("#"):
                if len(fields) != len(COLUMNS):
                    raise UserError(
                        f"line {number} of {path} has {len(fields)} columns; in CoNLL-U a word has"
                        f" {len(COLUMNS)}, with tabs between them."
                    )
                if fields[0].isdecimal():
                    rows.append(fields)
