"""Sentences with tags, from files or the hub."""

from collections.abc import Iterator
from typing import Any

from lit_seq.data import conllu
from lit_seq.data.module import Split
from lit_seq.data.sentences import Sentence, Sentences
from lit_seq.data.source_data import SourceData
from lit_seq.data.tree import why_no_tree


class Tagging(SourceData, Sentences):
    """Sentences with a tag for each token, from files or the Hugging Face hub: parts of speech, entities.

    Reads two columns that hold lists, of anything that `datasets.load_dataset` loads; or files in CoNLL-U,
    with `path` "conllu", whose columns are id, form, lemma, upos, xpos, feats, head, deprel, deps and misc.
    Tags may be class labels of `datasets`, integers or strings; "_" in CoNLL-U is none. Tags in BIO (B-PER,
    I-PER, O) mark entities, whose F1 is measured.

    With a `head_column` the sentences are dependency trees, for `--model Recursive`.

    Args:
        path: "conllu", a file format ("json", "parquet", …), a folder, or a name on the hub.
        token_column: column that holds the tokens; by default tokens, and form in CoNLL-U.
        tag_column: column that holds their tags; by default tags, and upos in CoNLL-U.
        head_column: column that holds the number of each token's head, from 1, and 0 at the root; null: the
            sentences are no trees.
        data: the arguments of `SourceData` and of `Sentences`.
    """

    def __init__(
        self,
        path: str,
        token_column: str | None = None,
        tag_column: str | None = None,
        head_column: str | None = None,
        **data: Any,
    ) -> None:
        super().__init__(path, **data)
        self.token_column = token_column or ("form" if path == "conllu" else "tokens")
        self.tag_column = tag_column or ("upos" if path == "conllu" else "tags")
        self.head_column = head_column

    def read(self) -> tuple[dict[Split, list[Sentence]], Any]:
        """Return the sentences of each split, and the tags' feature in `datasets`, if any.

        Raises:
            UserError: the data cannot be loaded, lacks a column, or has a sentence that is none.
        """
        feature = None
        if self.source.path == "conllu":
            columns = {split: self._of_conllu(rows) for split, rows in conllu.load(self.source).items()}
        else:
            loaded = self.source.load()
            columns = {split: self._of_columns(rows) for split, rows in loaded.items()}
            feature = getattr((loaded["train"].features or {}).get(self.tag_column), "feature", None)
        return {
            split: [
                self._sentence(f"sentence {number} of {split} of {self.source}", *row)
                for number, row in enumerate(rows, 1)
            ]
            for split, rows in columns.items()
        }, feature

    def _of_conllu(self, sentences: list[conllu.Rows]) -> Iterator[tuple[Any, ...]]:
        for rows in sentences:
            tags = [None if tag == "_" else tag for tag in conllu.column(rows, self.tag_column)]
            heads = None if self.head_column is None else conllu.column(rows, self.head_column)
            yield conllu.column(rows, self.token_column), tags, heads

    def _of_columns(self, rows: Any) -> Iterator[tuple[Any, ...]]:
        names = [self.token_column, self.tag_column, *([self.head_column] if self.head_column else [])]
        for row in zip(*(self.source.column(rows, name) for name in names), strict=True):
            yield row if self.head_column else (*row, None)

    def _sentence(self, where: str, tokens: Any, tags: Any, heads: Any) -> Sentence:
        for column, items in ((self.token_column, tokens), (self.tag_column, tags)):
            if not isinstance(items, list):
                raise self._wrong(f"{where} has {items!r} in column {column}; it must be a list.")
        if not tokens or not all(isinstance(token, str) and token.strip() for token in tokens):
            raise self._wrong(f"{where} has {tokens} in column {self.token_column}; it must be texts.")
        if len(tokens) != len(tags):
            raise self._wrong(f"{where} has {len(tokens)} tokens and {len(tags)} tags; they must be as many.")
        if heads is None:
            return Sentence(tokens, tags)
        if not isinstance(heads, list) or not all(str(head).isdecimal() for head in heads):
            raise self._wrong(
                f"{where} has {heads} in column {self.head_column}; heads must be numbers from 0."
            )
        if len(tokens) != len(heads):
            raise self._wrong(
                f"{where} has {len(tokens)} tokens and {len(heads)} heads; they must be as many."
            )
        parents = [int(head) - 1 for head in heads]
        if why := why_no_tree(parents):
            raise self._wrong(f"{where} {why}.")
        return Sentence(tokens, tags, parents)
