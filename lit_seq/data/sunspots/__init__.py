"""Three centuries of sunspots, shipped with the package (see NOTICE)."""

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from lit_seq.data.module import Split
from lit_seq.data.series_windows import SeriesWindows


class Sunspots(SeriesWindows):
    """Mean sunspot numbers of 1700–2008 (shipped with lit-seq), the oldest series to forecast.

    309 years, or 3,120 months from 1749 on. The cycle takes about eleven years, never quite the same ones,
    and rises faster than it falls, which no linear model can do; yet of years there are too few to do better
    than one (figures: tests/topologies/test_topologies_forecaster_learning.py). The default fractions divide
    the years as the literature does: to 1920, 1921–1955, 1956–2008 (Weigend, Huberman & Rumelhart 1990,
    International Journal of Neural Systems 1, after Tong & Lim 1980).

    Source: Wolf's numbers as the National Geophysical Data Center gave them until 2008; the international
    number was revised in 2015, and is about 1.4 times as high since.

    Args:
        step: what a step is.
        past: steps of a window that are given; by default three cycles.
        horizon: steps of a window that are to be forecast; by default a cycle.
        validation_fraction: part of the steps to validate on.
        test_fraction: part of the steps to test on.
        windows: the arguments of `SeriesWindows`.
    """

    def __init__(
        self,
        step: Literal["year", "month"] = "year",
        past: int | None = None,
        horizon: int | None = None,
        validation_fraction: float = 0.113,
        test_fraction: float = 0.172,
        **windows: Any,
    ) -> None:
        if step not in ("year", "month"):
            raise self._wrong(f"step is {step!r}; it must be 'year' or 'month'.")
        cycle = 11 if step == "year" else 132
        past, horizon = 3 * cycle if past is None else past, cycle if horizon is None else horizon
        super().__init__(
            past, horizon, validation_fraction=validation_fraction, test_fraction=test_fraction, **windows
        )
        self.step = step

    @property
    def names(self) -> tuple[str, ...]:
        """What is counted."""
        return ("sunspots",)

    def read(self) -> dict[Split, list[Tensor]]:
        """Return the series."""
        path = Path(__file__).parent / f"{self.step}ly.txt"
        numbers = [float(line.split()[1]) for line in path.read_text(encoding="ascii").splitlines()]
        return {"train": [torch.tensor(numbers, dtype=torch.float64).unsqueeze(1)]}
