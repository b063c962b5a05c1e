"""Whole series with a class or a value each."""

from collections.abc import Callable, Sequence
from functools import cached_property
from math import isfinite
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.classes import numbered_classes
from lit_seq.data.held_out import with_held_out
from lit_seq.data.loader import Loader
from lit_seq.data.module import Split
from lit_seq.data.series import read_series, scale_of
from lit_seq.data.source_data import SourceData
from lit_seq.data.task import Task


class SeriesClassification(SourceData):
    """Series of numbers from files or the Hugging Face hub, each with a class or with a value to tell.

    Reads columns of anything that `datasets.load_dataset` loads: a series a row, where the columns hold
    lists; or a step a row, where `series_column` says of which series, and the label is the same at each of
    its steps. Series may differ in length; those of similar lengths train together. Labels may be class
    labels of `datasets`, integers or texts; a series without one (none, or -1 for a class label) has the
    target `IGNORED`. Inputs are standardised by mean and deviation over all steps of the training series;
    values to tell stay as they are.

    Batch: inputs (batch, longest, values) float32, padded with 0; targets (batch,) int64 classes, or
    (batch, 1) float32 values; lengths (batch,) int64.

    Args:
        path: a file format ("csv", "json", "parquet", …), a folder, or a name on the hub.
        columns: those that hold the values of the series.
        label_column: column that holds the classes or values to tell.
        series_column: tells the series of a step; null: a row is a series.
        targets: what the labels are.
        batch_size: series of a batch.
        validation_fraction: part of the training series to validate on, where there is no such split.
        test_fraction: part of the training series to test on, where there is no such split.
        validation_seed: decides which series those are; leave it alone to compare runs.
        seed: decides the order of the training series; by default the run's seed.
        source: the arguments of `SourceData`.
    """

    def __init__(
        self,
        path: str,
        columns: list[str],
        label_column: str = "label",
        series_column: str | None = None,
        targets: Literal["classes", "values"] = "classes",
        batch_size: int = 32,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        validation_seed: int = 0,
        seed: int | None = None,
        **source: Any,
    ) -> None:
        super().__init__(path, batch_size=batch_size, seed=seed, **source)
        if targets not in ("classes", "values"):
            raise self._wrong(f"targets is {targets!r}; it must be 'classes' or 'values'.")
        self.columns, self.label_column, self.series_column = columns, label_column, series_column
        self.targets: Literal["classes", "values"] = targets
        self.fractions = self._fractions(validation_fraction, test_fraction)
        self.validation_seed = validation_seed

    @property
    def task(self) -> Task:
        """Which class or value a series has."""
        names, _ = self._examples
        return Task(
            *("vectors", len(self.columns), self.targets, 1 if names is None else len(names), "sequence"),
            labels=names,
            features=tuple(self.columns),
        )

    def loader(self, split: Split) -> Loader | None:
        """Return the series of `split` in batches; None where it has none."""
        return self._in_batches(split, self._examples[1].get(split), bucketing=True)

    @cached_property
    def _examples(self) -> tuple[tuple[str, ...] | None, dict[Split, "_LabelledSeries"]]:
        loaded = self.source.load()
        read = {split: self._read(rows) for split, rows in loaded.items()}
        names: tuple[str, ...] | None = None
        target: Callable[[Any], Any] = self._value
        if self.targets == "classes":
            feature = (loaded["train"].features or {}).get(self.label_column)
            labels = {split: [one.label for one in of_split] for split, of_split in read.items()}
            names, numbers = numbered_classes(self.source, self.label_column, feature, labels)
            target = numbers.__getitem__
        examples = with_held_out(read, self.fractions, self.validation_seed)
        if not examples["train"]:
            raise self._wrong(f"{self.source} has no series to train on.")
        mean, deviation = scale_of(torch.cat([one.values for one in examples["train"]]))
        return names, {
            split: _LabelledSeries(
                [((one.values - mean) / deviation).float() for one in of_split],
                torch.tensor([target(one.label) for one in of_split]),
            )
            for split, of_split in examples.items()
        }

    def _read(self, rows: Any) -> list["_Example"]:
        labels = list(self.source.column(rows, self.label_column))
        examples = []
        for series in read_series(self.source, rows, self.columns, self.series_column):
            first = labels[series.rows[0]]
            for row in series.rows:
                if labels[row] != first:
                    raise self._wrong(
                        f"column {self.label_column} of {self.source} holds {labels[row]!r} in row {row + 1},"
                        f" but the same series has {first!r} in row {series.rows[0] + 1}."
                    )
            examples.append(_Example(series.values, first))
        return examples

    def _value(self, value: Any) -> list[float]:
        if not isinstance(value, int | float) or not isfinite(value):
            raise self._wrong(
                f"column {self.label_column} of {self.source} holds {value!r}; with targets values every"
                " series needs a finite number."
            )
        return [float(value)]


class _Example(NamedTuple):
    """A series, (steps, values) float64, and its label as it was read."""

    values: Tensor
    label: Any


class _LabelledSeries(Dataset[Batch]):
    """Padded batches of the series that a key lists."""

    def __init__(self, series: list[Tensor], targets: Tensor) -> None:
        self.series, self.targets = series, targets
        self.steps = [len(one) for one in series]

    def __len__(self) -> int:
        return len(self.series)

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        series = [self.series[row] for row in rows]
        lengths = torch.tensor([len(one) for one in series])
        return Batch(pad_sequence(series, batch_first=True), self.targets[list(rows)], lengths)
