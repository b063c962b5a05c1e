"""Long text of any kind of file or of the hub."""

from typing import Any

from lit_seq.data.module import Split
from lit_seq.data.source import DataFiles, Source
from lit_seq.data.streams import TextStreams


class Text(TextStreams):
    r"""Long text from files or the Hugging Face hub, for language models.

    Reads one column of anything that `datasets.load_dataset` loads. With `path` "text" the text is that
    of the files, line breaks included ("\n", whatever they were); the rows of anything else are joined
    by `separator`. Files are cached by `datasets`, under HF_HOME.

    Args:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        name: configuration of the data set.
        data_dir: folder of the data files.
        data_files: data files: names, patterns or URLs, or a mapping from splits to those.
        revision: version of a data set on the hub.
        splits: what the data set calls train, validation and test, where it is something else; slices
            such as train[:1000] are allowed.
        load_options: further arguments of `datasets.load_dataset`.
        column: column that holds the text.
        separator: stands between rows; by default a line break, and nothing where `path` is "text".
        streams: the arguments of `TextStreams`.
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
        column: str = "text",
        separator: str | None = None,
        **streams: Any,
    ) -> None:
        super().__init__(**streams)
        options = ({"keep_linebreaks": True} if path == "text" else {}) | (load_options or {})
        self.source = Source(path, name, data_dir, data_files, revision, splits or {}, options)
        self.column = column
        self.separator = separator if separator is not None else "" if path == "text" else "\n"

    def read(self) -> dict[Split, str]:
        """Return the text of each split that the data has.

        Raises:
            UserError: the data cannot be loaded, has no such column of text, or no text in it.
        """
        return {split: self._join(rows, split) for split, rows in self.source.load().items()}

    def _join(self, rows: Any, split: Split) -> str:
        texts: list[str] = []
        length = 0
        for text in self.source.texts(rows, self.column):
            texts.append(text)
            length += len(text)
            if self.max_characters is not None and length >= self.max_characters:
                break
        if length == 0:
            raise self._wrong(f"the {split} text of {self.source} is empty.")
        return self.separator.join(texts)
