"""Long text of any kind of file or of the hub."""

import json
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from lit_seq.data.module import Split
from lit_seq.data.source_data import SourceData
from lit_seq.data.stored import StoredSymbols, made_once
from lit_seq.data.streams import Symbols, TextStreams
from lit_seq.data.vocabulary import Vocabulary

VOCABULARY = "vocabulary.json"

PIECE = 2**20
"""Characters of a text that are in memory at once, where it does not have to be there as a whole."""


class Text(SourceData, TextStreams):
    r"""Long text from files or the Hugging Face hub, for language models.

    Reads one column of anything that `datasets.load_dataset` loads. With `path` "text" the text is that
    of the files, line breaks included ("\n", whatever they were); the rows of anything else are joined
    by `separator`. Files are cached by `datasets`, under HF_HOME.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        column: column that holds the text.
        separator: stands between rows; by default a line break, and nothing where `path` is "text".
        streaming: whether to leave the text where it is, for one that is too long for memory or takes long to
            encode: it is read once, and its symbols' numbers are kept in a file beside the cache of
            `datasets` (1 byte each where there are at most 256, else 2 or 4), which all later runs read a
            chunk at a time. The vocabulary is then that of the first `vocabulary_characters`, and what is
            held out is counted in symbols. A row, or a line, has to fit into memory.
        vocabulary_characters: characters of the training text that the vocabulary of a streamed one is from.
        load_options: further arguments of `datasets.load_dataset`.
        data: the arguments of `SourceData` and of `TextStreams`.
    """

    def __init__(
        self,
        path: str,
        column: str = "text",
        separator: str | None = None,
        streaming: bool = False,
        vocabulary_characters: int = 10_000_000,
        load_options: dict[str, Any] | None = None,
        **data: Any,
    ) -> None:
        options = {**({"keep_linebreaks": True} if path == "text" else {}), **(load_options or {})}
        if streaming:
            options["streaming"] = True
        super().__init__(path, load_options=options, **data)
        self.column = column
        self.separator = separator if separator is not None else "" if path == "text" else "\n"
        self.streaming = streaming
        self.vocabulary_characters = self._at_least(1, vocabulary_characters=vocabulary_characters)

    def read(self) -> dict[Split, str]:
        """Return the text of each split that the data has.

        Raises:
            UserError: the data cannot be loaded, has no such column of text, or no text in it.
        """
        return {split: "".join(self._pieces(rows, split)) for split, rows in self.source.load().items()}

    def encode(self) -> tuple[Vocabulary, dict[Split, Symbols]]:
        """Return the symbols of the training text, and their numbers in the text of each split."""
        if not self.streaming:
            return super().encode()
        key = (self.column, self.separator, self.max_characters, self.unit, self.vocabulary_size)
        folder = made_once(self.source.cache_folder(*key, self.vocabulary_characters), self._store)
        vocabulary = Vocabulary.from_dict(json.loads((folder / VOCABULARY).read_text(encoding="utf-8")))
        stored = {split: folder / split for split in get_args(Split) if (folder / split).exists()}
        symbols = {split: StoredSymbols.of(path, len(vocabulary)) for split, path in stored.items()}
        parts = self._parts(len(symbols["train"]), symbols)
        return vocabulary, {
            **symbols,
            **{split: symbols["train"].narrow(part) for split, part in parts.items()},
        }

    def _store(self, folder: Path) -> None:
        """Write what `encode` returns into `folder`, a piece of text at a time."""
        print(f"Encoding {self.source} for this run and later ones.", file=sys.stderr, flush=True)
        loaded = self.source.load()
        pieces = self._pieces(loaded["train"], "train")
        head: list[str] = []
        while sum(map(len, head)) < self.vocabulary_characters and (piece := next(pieces, None)):
            head.append(piece)
        first = "".join(head)[: self.vocabulary_characters]
        vocabulary = Vocabulary.of([first], self.unit, self.vocabulary_size)
        for split, rows in loaded.items():
            text = chain(head, pieces) if split == "train" else self._pieces(rows, split)
            StoredSymbols.write(folder / split, map(vocabulary.encode, text), len(vocabulary))
        (folder / VOCABULARY).write_text(json.dumps(vocabulary.to_dict()), encoding="utf-8")

    def _pieces(self, rows: Any, split: Split) -> Iterator[str]:
        """Yield the text of `split`, some rows at a time."""
        left = sys.maxsize if self.max_characters is None else self.max_characters
        waiting: list[str] = []
        length, between, empty = 0, "", True
        for text in self.source.texts(rows, self.column):
            waiting.append(between + text)
            length, between = length + len(waiting[-1]), self.separator
            if length >= min(PIECE, left):
                piece = "".join(waiting)[:left]
                yield piece
                waiting, length, left, empty = [], 0, left - len(piece), False
                if left == 0:
                    return
        if empty and length == 0:
            raise self._wrong(f"the {split} text of {self.source} is empty.")
        yield "".join(waiting)
