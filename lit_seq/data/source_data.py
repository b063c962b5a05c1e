"""Data modules that read what `datasets.load_dataset` loads."""

from typing import Any

from lit_seq.data.module import SequenceData
from lit_seq.data.source import DataFiles, Source


class SourceData(SequenceData):
    """Sequences out of anything that `datasets.load_dataset` loads: of files, or of the Hugging Face hub.

    Where another class says how such data is cut up, this one comes before it among the bases.

    Args:
        path: a file format ("text", "csv", "json", "parquet", "imagefolder", …), a folder, or a name on the
            hub.
        name: configuration of the data set.
        data_dir: folder of the data files.
        data_files: data files: names, patterns or URLs, or a mapping from splits to those.
        revision: version of a data set on the hub.
        splits: what the data set calls train, validation and test, where it is something else; slices
            such as train[:1000] are allowed.
        load_options: further arguments of `datasets.load_dataset`.
        data: the arguments of the class behind this one.

    Attributes:
        source: where the data is from.
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
        **data: Any,
    ) -> None:
        super().__init__(**data)
        self.source = Source(path, name, data_dir, data_files, revision, splits or {}, load_options or {})
