"""Trees of phrases with a label for each node, from files or the hub."""

from typing import Any

from lit_seq.data.brackets import parse
from lit_seq.data.module import Split
from lit_seq.data.sentences import Sentence, Sentences
from lit_seq.data.source_data import SourceData


class Trees(SourceData, Sentences):
    """Trees in brackets with a label at each node, from files or the Hugging Face hub: sentiment trees.

    Reads a column of anything that `datasets.load_dataset` loads, which holds trees such as

        (3 (2 The) (3 (4 lovely) (2 film)))

    as the Stanford Sentiment Treebank ships them (Socher et al. 2013). The steps of a batch are the nodes, in
    the order in which brackets close, with the token <phrase> where a node has no word.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        tree_column: column that holds the trees.
        data: the arguments of `SourceData` and of `Sentences`; unit must be word and max_length null.
    """

    def __init__(
        self,
        path: str,
        tree_column: str = "text",
        **data: Any,
    ) -> None:
        super().__init__(path, **data)
        self.tag_column = tree_column

    def read(self) -> tuple[dict[Split, list[Sentence]], Any]:
        """Return the trees of each split.

        Raises:
            UserError: the data cannot be loaded, lacks the column, or holds something that is no tree.
        """
        return {split: self._parsed(rows, split) for split, rows in self.source.load().items()}, None

    def _parsed(self, rows: Any, split: Split) -> list[Sentence]:
        sentences = []
        for number, text in enumerate(self.source.texts(rows, self.tag_column), 1):
            try:
                sentences.append(Sentence(*parse(text)))
            except ValueError as why:
                raise self._wrong(f"tree {number} of {split} of {self.source} {why}.") from None
        return sentences
