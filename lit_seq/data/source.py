"""What `datasets.load_dataset` can load: files of many kinds, and data sets of the Hugging Face hub."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from inspect import signature
from pathlib import Path
from typing import Any, get_args

from lit_seq.data.hub import reached_or_offline
from lit_seq.data.module import Split
from lit_seq.errors import UserError

DataFiles = str | list[str] | dict[str, str | list[str]]


@dataclass(frozen=True)
class Source:
    """Arguments of `datasets.load_dataset`, and which of its splits are for what.

    Attributes:
        path: a file format ("text", "csv", "json", "parquet", …), a folder, or a name on the hub.
        name: configuration of the data set.
        data_dir: folder of the data files.
        data_files: data files: names, patterns or URLs, or a mapping from splits to those.
        revision: version of a data set on the hub.
        splits: what train, validation and test are called there, where it is something else.
        options: further arguments.
    """

    path: str
    name: str | None = None
    data_dir: str | None = None
    data_files: DataFiles | None = None
    revision: str | None = None
    splits: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return str(self.data_files or self.data_dir or self.path)

    def load(self) -> dict[Split, Any]:
        """Return the data set of each split that there is, "train" at least.

        Raises:
            UserError: something keeps the data from being loaded.
        """
        self._check()
        loaded: dict[Split, Any] = {}
        with self._reached():
            found = self._load_dataset()
            for split in get_args(Split):
                called = self.splits.get(split, split)
                if called in found:
                    loaded[split] = found[called]
                elif split in self.splits:
                    loaded[split] = self._load_dataset(split=called)
            self._check_revision(loaded)
        if "train" not in loaded:
            raise UserError(
                f"{self} has no split train, only {', '.join(found)}; name one with splits.train."
            )
        return loaded

    def column(self, rows: Any, name: str, decoded: bool = True) -> Iterator[Any]:
        """Yield what column `name` of a loaded data set holds, row by row.

        Where a column holds fields, a dot leads to one: translation.en is field en of column translation.

        Args:
            rows: a loaded data set.
            name: the column.
            decoded: whether images and the like are to be made of the bytes that hold them.

        Raises:
            UserError: there is no such column or field.
        """
        # A data set that is streamed may know its columns only from its rows.
        names = rows.column_names or list(next(iter(rows), {name: None}))
        column, *fields = [name] if name in names else name.split(".")
        if column not in names:
            raise UserError(f"{self} has no column {name}; its columns are {', '.join(names)}.")
        rows = rows if decoded else rows.with_format("arrow")
        for batch in rows.select_columns([column]).iter(batch_size=1000):
            values = batch[column] if decoded else batch[column].to_pylist()
            yield from (self._field(value, name, fields) for value in values) if fields else values

    def _field(self, value: Any, name: str, fields: list[str]) -> Any:
        for field_name in fields:
            if not isinstance(value, dict) or field_name not in value:
                held = f"the fields {', '.join(value)}" if isinstance(value, dict) else "no fields"
                raise UserError(f"{self} has no column {name}; {name.split('.')[0]} holds {held}.")
            value = value[field_name]
        return value

    def texts(self, rows: Any, name: str) -> Iterator[str]:
        """Yield the texts in column `name` of a loaded data set, row by row; a missing one is empty.

        Raises:
            UserError: there is no such column, or it holds something else.
        """
        # Decoding would take most of the time of a long text, line by line.
        for text in self.column(rows, name, decoded=False):
            if not isinstance(text, str | None):
                raise UserError(f"column {name} of {self} holds {text!r}, which is no text.")
            yield text or ""

    def cache_folder(self, *key: Any) -> Path:
        """Return where to keep what is made of this data, beside the cache of `datasets`.

        It is another folder for another `key`, other data, and files that were edited.

        Raises:
            UserError: something keeps the data from being found.
        """
        import datasets

        parameters = signature(datasets.load_dataset).parameters
        only_loading = parameters.keys() - signature(datasets.load_dataset_builder).parameters.keys()
        options = {name: value for name, value in self.options.items() if name not in only_loading}
        self._check()
        with self._reached():
            builder = self._asked(datasets.load_dataset_builder, options)
        content = json.dumps([builder.cache_dir, self.splits, *key])
        root = Path(self.options.get("cache_dir") or datasets.config.HF_DATASETS_CACHE)
        return root / "lit_seq" / sha256(content.encode()).hexdigest()[:16]

    def _load_dataset(self, **split: str) -> Any:
        import datasets

        return self._asked(datasets.load_dataset, {**self.options, **split})

    def _asked(self, function: Callable[..., Any], options: dict[str, Any]) -> Any:
        try:
            return function(
                self.path,
                self.name,
                data_dir=self.data_dir,
                data_files=self.data_files,
                revision=self.revision,
                **options,
            )
        except ConnectionError as error:
            raise UserError(
                f"{self} could not be loaded: it is not in the cache, and the hub cannot be reached (no"
                " network, or HF_HUB_OFFLINE is set)."
            ) from error
        except (
            Exception
        ) as error:  # of any kind: what the many builders raise on bad files has no common base
            raise UserError(f"{self} could not be loaded: {_reason(error)}.") from error

    def _check(self) -> None:
        """Refuse what `load_dataset` would misunderstand."""
        if unknown := set(self.splits) - {"train", "validation", "test"}:
            raise UserError(f"splits has the key {min(unknown)}; allowed are train, validation and test.")
        if "split" in self.options:
            raise UserError("load_options has the key split; use the argument splits instead.")
        path = Path(self.path)
        if self._is_format:
            if self.data_files is None and self.data_dir is None:
                raise UserError(
                    f"path is the format {self.path}, so data_files or data_dir must name the files."
                )
        elif path.is_file():
            raise UserError(
                f"path is the file {path}; give it as data_files, and its format (such as text) as path."
            )
        elif self._named_as_on_hub and path.is_dir():
            raise UserError(
                f"path {self.path} is a folder here and may be a data set of the hub; write ./{self.path} for"
                f" the folder or hf://datasets/{self.path} for the hub."
            )
        elif not self._named_as_on_hub and "://" not in self.path and not path.is_dir():
            raise UserError(
                f"path {self.path} does not exist; allowed are a folder, a name on the hub, or a file format"
                " (text, csv, json, parquet, …) with data_files."
            )

    def _check_revision(self, loaded: dict[Split, Any]) -> None:
        """Refuse another revision than asked for: without the hub, `load_dataset` takes the latest it has."""
        import datasets

        if self.revision is None or not self._on_hub or not datasets.config.HF_HUB_OFFLINE:
            return
        for data in loaded.values():
            if not all(self.revision in Path(file["filename"]).parts for file in data.cache_files):
                raise UserError(
                    f"revision {self.revision} of {self} is not the latest in the cache, and the hub cannot"
                    " be reached; without it only the full commit of the latest is found."
                )

    def _reached(self) -> AbstractContextManager[None]:
        if not self._on_hub:
            return _quietly()
        name = self.path.removeprefix("hf://datasets/")
        return reached_or_offline(name, self.revision, self.options.get("token"))

    @property
    def _on_hub(self) -> bool:
        return not self._is_format and (self._named_as_on_hub or self.path.startswith("hf://datasets/"))

    @property
    def _is_format(self) -> bool:
        from datasets.packaged_modules import _PACKAGED_DATASETS_MODULES

        return self.path in _PACKAGED_DATASETS_MODULES

    @property
    def _named_as_on_hub(self) -> bool:
        return re.fullmatch(r"\w[\w.-]*(/\w[\w.-]*)?", self.path) is not None


@contextmanager
def _quietly() -> Iterator[None]:
    """Show no progress bars: they are worth it for what is downloaded, not for what is read from a disk."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _reason(error: BaseException) -> str:
    """Return the first line of what is at the bottom of `error`."""
    while error.__cause__ is not None:
        error = error.__cause__
    if type(error).__name__ == "SchemaInferenceError" or "corresponds to no data" in str(error):
        return "it is empty"
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
