"""Windows of series: what was, and what came."""

from abc import abstractmethod
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate
from typing import NamedTuple, get_args

import torch
from torch import Tensor
from torch.utils.data import Dataset

from lit_seq.data.batch import Batch
from lit_seq.data.loader import Loader
from lit_seq.data.module import SequenceData, Split
from lit_seq.data.series import scale_of
from lit_seq.data.task import Task


class SeriesWindows(SequenceData):
    """Series to forecast, cut into windows of a past and a future.

    Every series is divided in the order of time: the first part to train on, then one to validate on, the
    last one to test on. A window is of the part that its whole future lies in, one for each step that the
    future can begin at; its past may reach back into the part before. Values are standardised by mean and
    deviation of the training part.

    Batch: inputs (batch, past, values), targets (batch, horizon, values), both float32.

    Args:
        past: steps of a window that are given.
        horizon: steps of a window that are to be forecast.
        batch_size: windows of a batch.
        validation_fraction: part of the steps to validate on, where there is no such split.
        test_fraction: part of the steps to test on, where there is no such split.
        seed: decides the order of the training windows; by default the run's seed.
        num_workers: processes that make batches ahead of their use; 0: they are made when asked for.
    """

    def __init__(
        self,
        past: int = 48,
        horizon: int = 12,
        batch_size: int = 32,
        validation_fraction: float = 0.1,
        test_fraction: float = 0.1,
        seed: int | None = None,
        num_workers: int = 0,
    ) -> None:
        super().__init__(batch_size, seed, num_workers)
        self.past = self._at_least(1, past=past)
        self.horizon = self._at_least(1, horizon=horizon)
        self.fractions = self._fractions(validation_fraction, test_fraction)

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """What the values of a step are called."""

    @abstractmethod
    def read(self) -> dict[Split, list[Tensor]]:
        """Return the series of each split, "train" at least, each (steps, values) float64."""

    @property
    def task(self) -> Task:
        """Values in, the values that follow out."""
        mean, deviation, _ = self._windows
        return Task(
            *("vectors", len(self.names), "values", len(self.names), "future"),
            target_length=self.horizon,
            features=self.names,
            scale={"mean": mean.tolist(), "deviation": deviation.tolist()},
        )

    def loader(self, split: Split) -> Loader | None:
        """Return the windows of `split` in batches; None where it has none."""
        return self._in_batches(split, self._windows[2].get(split))

    @cached_property
    def _windows(self) -> tuple[Tensor, Tensor, dict[Split, "_Windows"]]:
        parts = self._parts(self.read())
        mean, deviation = scale_of(torch.cat([of.series[of.first : of.end] for of in parts["train"]]))
        windows: dict[Split, _Windows] = {}
        for split, of_split in parts.items():
            scaled = [of._replace(series=((of.series - mean) / deviation).float()) for of in of_split]
            windows[split] = _Windows(scaled, self.past, self.horizon)
            if len(windows[split]) == 0:
                longest = max((of.end - of.first for of in of_split), default=0)
                needed = self.past + self.horizon if split == "train" else self.horizon
                raise self._wrong(
                    f"no series is long enough: the longest has {longest} steps for {split}, and a window"
                    f" needs {needed} of them (past {self.past}, horizon {self.horizon})."
                )
        return mean, deviation, windows

    def _parts(self, read: dict[Split, list[Tensor]]) -> dict[Split, list["_Part"]]:
        """Divide the training series where the data does not come divided."""
        parts = {split: [_Part(one, 0, len(one)) for one in series] for split, series in read.items()}
        held_out = {split: f for split, f in self.fractions.items() if split not in read and f}
        parts |= {split: [] for split in held_out}
        for place, (series, _, _) in enumerate(parts["train"]):
            sizes = [round(len(series) * held_out.get(split, 0.0)) for split in get_args(Split)]
            first = len(series) - sum(sizes)
            parts["train"][place] = _Part(series, 0, first)
            for split, size in zip(get_args(Split), sizes, strict=True):
                if split in held_out:
                    parts[split].append(_Part(series, first, first + size))
                    first += size
        return parts


class _Part(NamedTuple):
    """Steps `first` to `end` of a series, which futures lie in."""

    series: Tensor
    first: int
    end: int


class _Windows(Dataset[Batch]):
    """Batches of the windows that a key lists, numbered through all parts."""

    def __init__(self, parts: Sequence[_Part], past: int, horizon: int) -> None:
        self.past, self.steps = past, past + horizon
        self.series = [part.series for part in parts]
        self.starts = [max(part.first - past, 0) for part in parts]
        counts = [
            max(part.end - self.steps + 1 - start, 0) for part, start in zip(parts, self.starts, strict=True)
        ]
        self.ends = list(accumulate(counts))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, rows: Sequence[int]) -> Batch:
        windows = torch.stack([self._window(row) for row in rows])
        return Batch(windows[:, : self.past], windows[:, self.past :])

    def _window(self, row: int) -> Tensor:
        place = bisect_right(self.ends, row)
        start = self.starts[place] + row - (self.ends[place - 1] if place else 0)
        return self.series[place][start : start + self.steps]
