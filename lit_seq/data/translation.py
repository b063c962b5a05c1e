"""Pairs of texts from any kind of file or of the hub."""

from typing import Any

from lit_seq.data.module import Split
from lit_seq.data.source_data import SourceData
from lit_seq.data.text_pairs import Pair, TextPairs


class Translation(SourceData, TextPairs):
    """Texts with their translations, or any other two columns of texts, from files or the Hugging Face hub.

    Reads two columns of anything that `datasets.load_dataset` loads; of a column that holds several
    languages a field is named with a dot, such as translation.en.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch, longest) int64 with the end token
    behind each, padded with `IGNORED`; lengths (batch,) int64, of the sources.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        source_column: column that holds the texts to translate.
        target_column: column that holds their translations.
        data: the arguments of `SourceData` and of `TextPairs`.
    """

    def __init__(
        self,
        path: str,
        source_column: str = "source",
        target_column: str = "target",
        **data: Any,
    ) -> None:
        super().__init__(path, **data)
        self.columns = source_column, target_column

    def read(self) -> dict[Split, list[Pair]]:
        """Return the pairs of each split that the data has.

        Raises:
            UserError: the data cannot be loaded, or has no such columns of text.
        """
        return {
            split: list(zip(*(self.source.texts(rows, column) for column in self.columns), strict=True))
            for split, rows in self.source.load().items()
        }
