"""diagnostics/NAME.npz: arrays over the moments of a run."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lit_seq.run_folder import replacing


def append(path: Path, step: int, arrays: Mapping[str, Tensor]) -> None:
    """Add a moment to a file, in which every array has the moments as its first dimension.

    Moments at or behind `step` are dropped: they are of a run that was resumed from before them.

    Args:
        path: the file; it is made where there is none.
        step: optimiser steps done, which the array "step" holds.
        arrays: name to what was found.
    """
    new = {"step": np.asarray(step), **{name: array.cpu().numpy() for name, array in arrays.items()}}
    before = _read(path)
    kept = before["step"] < step if before else np.zeros(0, dtype=bool)
    whole = {name: np.stack([*before[name][kept], of] if before else [of]) for name, of in new.items()}
    with replacing(path) as file:
        np.savez(file.buffer, allow_pickle=False, **whole)  # type: ignore[attr-defined]


def _read(path: Path) -> dict[str, NDArray]:
    if not path.exists():
        return {}
    with np.load(path) as stored:
        return dict(stored)
