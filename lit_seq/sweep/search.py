"""Which values each trial of a sweep gets."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

from lit_seq.errors import UserError
from lit_seq.sweep.file import SweepFile
from lit_seq.sweep.laws import EDGE
from lit_seq.sweep.parameters import LARGEST_GRID, Choices, Parameter, identity, nested


class Search:
    """The search space of a sweep, as Optuna sees it.

    A parameter with listed values is a categorical one in Optuna, its values written as JSON. A parameter
    with a distribution is its quantile, uniform in (0, 1): so every distribution of W&B can be searched,
    and `method: bayes` improves on the distribution that the file gives, as W&B's own search does.

    Args:
        file: the sweep file.
    """

    def __init__(self, file: SweepFile) -> None:
        self.file = file
        self.parameters = [_listed(p) if file.method == "grid" else p for p in file.parameters]
        self.grid_size = 0
        if file.method == "grid":
            self.grid_size = math.prod(len(p.grid() or ()) for p in self.parameters)
            if min(self.grid_size, file.run_cap or self.grid_size) > LARGEST_GRID:
                raise UserError(
                    f"{file.path}: the grid has {self.grid_size:,} trials; the most is {LARGEST_GRID:,}, or "
                    "as many as run_cap says."
                )

    @property
    def size(self) -> int:
        """The number of trials that the sweep asks for."""
        bounds = [size for size in (self.grid_size, self.file.run_cap) if size]
        return min(bounds)

    def description(self) -> str:
        """Say how many trials there will be, and why."""
        if self.file.method != "grid":
            return f"{self.size} trials by method {self.file.method}"
        product = " × ".join(str(size) for p in self.parameters if (size := len(p.grid() or ())) > 1)
        capped = f", of which run_cap lets {self.size} run" if self.size < self.grid_size else ""
        return (
            f"a grid of {product} = {self.grid_size} trials{capped}"
            if "×" in product
            else f"{self.size} trials"
        )

    def space(self) -> dict[str, Any]:
        """Return Optuna's distributions by parameter name."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution

        return {
            p.name: CategoricalDistribution([identity(value) for value in p.grid()])
            if isinstance(p, Choices)
            else FloatDistribution(EDGE, 1 - EDGE)
            for p in self.parameters
        }

    def points(self, seed: int, suggested: int = 0) -> Iterator[dict[str, Any]]:
        """Yield what Optuna shall try, trial after trial.

        A grid goes through the values in W&B's order: keys sorted, the last one fastest.

        Args:
            seed: of method random.
            suggested: how many examples to draw for bayes, where Optuna decides itself.
        """
        if self.file.method == "grid":
            values = [p.grid() or [] for p in self.parameters]
            for combination in itertools.islice(itertools.product(*values), self.size):
                yield self._point(list(combination))
        elif self.file.method == "random":
            import numpy as np

            for quantiles in np.random.default_rng(seed).random((self.size, len(self.parameters))):
                places = [min(max(float(u), EDGE), 1 - EDGE) for u in quantiles]
                listed = [
                    p.at(u) if isinstance(p, Choices) else u
                    for p, u in zip(self.parameters, places, strict=True)
                ]
                yield self._point(listed)

    def values(self, point: dict[str, Any]) -> dict[str, Any]:
        """Return a trial's values, nested as W&B's agent gets them.

        Args:
            point: what Optuna holds for the trial.
        """
        values = []
        for parameter in self.parameters:
            at = point[parameter.name]
            if isinstance(parameter, Choices):
                values.append(next(value for value in parameter.values if identity(value) == at))
            else:
                values.append(parameter.at(at))
        return nested(self.parameters, values)

    def _point(self, entries: list[Any]) -> dict[str, Any]:
        return {
            p.name: identity(entry) if isinstance(p, Choices) else entry
            for p, entry in zip(self.parameters, entries, strict=True)
        }


def _listed(parameter: Parameter) -> Parameter:
    return Choices(parameter.path, tuple(parameter.grid() or ()))


def dotted(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= dotted(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat
