"""Sequences of different lengths in one block of memory."""

from array import array
from collections.abc import Sequence

import torch
from torch import Tensor


class Ragged:
    """Sequences of numbers, each of at least one, in one block that grows.

    A list of tensors holds an object for each sequence, which costs more than the numbers of a short one, and
    which each worker of a loader copies as soon as it counts a reference to it (pytorch#13246).
    """

    def __init__(self) -> None:
        self._numbers = array("i")
        self._ends = array("q", [0])

    def append(self, numbers: Tensor) -> None:
        """Add a sequence, (steps,) int64 below 2³¹."""
        self._numbers.frombytes(numbers.to(torch.int32).numpy().tobytes())
        self._ends.append(len(self._numbers))

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __getitem__(self, index: int) -> Tensor:
        start, end = self._ends[index], self._ends[index + 1]
        offset = start * self._numbers.itemsize
        return torch.frombuffer(self._numbers, dtype=torch.int32, count=end - start, offset=offset).long()

    @property
    def lengths(self) -> Sequence[int]:
        """How long each sequence is."""
        return torch.frombuffer(self._ends, dtype=torch.int64).diff().tolist()
