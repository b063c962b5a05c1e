"""Symbols of a text that is too long for memory: in a file, and read a piece at a time."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from io import FileIO
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

import numpy as np
import torch
from filelock import FileLock
from torch import Tensor


@dataclass(frozen=True)
class StoredSymbols:
    """Numbers of symbols in a file, to be sliced as a tensor is.

    Read, not mapped: the pages of a mapped file would count as the process's memory.

    Attributes:
        path: the file.
        dtype: numpy's name of the type that a number has there.
        start: the first number that counts.
        stop: the one behind the last.
    """

    path: Path
    dtype: str
    start: int
    stop: int

    @classmethod
    def write(cls, path: Path, numbers: Iterable[Tensor], size: int) -> None:
        """Write `numbers`, all below `size`, one after the other."""
        with path.open("wb") as file:
            for piece in numbers:
                file.write(piece.numpy().astype(_dtype(size)).tobytes())

    @classmethod
    def of(cls, path: Path, size: int) -> "StoredSymbols":
        """Return all that `write` wrote."""
        dtype = _dtype(size)
        return cls(path, dtype, 0, path.stat().st_size // np.dtype(dtype).itemsize)

    def narrow(self, part: slice) -> "StoredSymbols":
        """Return a part of these symbols, unread."""
        start, stop, _ = part.indices(len(self))
        return StoredSymbols(self.path, self.dtype, self.start + start, self.start + stop)

    def __len__(self) -> int:
        return self.stop - self.start

    def __getitem__(self, steps: slice) -> Tensor:
        part, width = self.narrow(steps), np.dtype(self.dtype).itemsize
        read = os.pread(self._file.fileno(), len(part) * width, part.start * width)
        return torch.from_numpy(np.frombuffer(read, self.dtype).astype(np.int64))

    @cached_property
    def _file(self) -> FileIO:
        return self.path.open("rb", buffering=0)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file behind: each process opens its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_file"}


def _dtype(size: int) -> str:
    return np.min_scalar_type(size - 1).name


def made_once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Return `folder`, which `make` fills unless it is there: whole or not at all, by one process of many."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            temporary = Path(mkdtemp(dir=folder.parent))
            try:
                make(temporary)
                os.replace(temporary, folder)
            except BaseException:
                rmtree(temporary)
                raise
    return folder
