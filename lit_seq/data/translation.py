"""Pairs of texts from any kind of file or of the hub."""

from typing import Any

from lit_seq.data.module import Split
from lit_seq.data.source import DataFiles, Source
from lit_seq.data.text_pairs import Pair, TextPairs


class Translation(TextPairs):
    """Texts with their translations, or any other two columns of texts, from files or the Hugging Face hub.

    Reads two columns of anything that `datasets.load_dataset` loads; of a column that holds several
    languages a field is named with a dot, such as translation.en.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch, longest) int64 with the end token
    behind each, padded with `IGNORED`; lengths (batch,) int64, of the sources.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        name: configuration of the data set.
        data_dir: folder of the data files.
        data_files: data files: names, patterns or URLs, or a mapping from splits to those.
        revision: version of a data set on the hub.
        splits: what the data set calls train, validation and test, where it is something else; slices
            such as train[:1000] are allowed.
        load_options: further arguments of `datasets.load_dataset`.
        source_column: column that holds the texts to translate.
        target_column: column that holds their translations.
        pairs: the arguments of `TextPairs`.
    """

    def __init__(
        self,
        path: str,
        name: str | None = None,
        data_dir: str | None = None,
        data_files: DataFiles | None = None,
        revision: str | None = None,
        splits: dict[str, str] | None = None,
        load_options: dict[str, Any] | None = None,
        source_column: str = "source",
        target_column: str = "target",
        **pairs: Any,
    ) -> None:
        super().__init__(**pairs)
        self.source = Source(path, name, data_dir, data_files, revision, splits or {}, load_options or {})
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
