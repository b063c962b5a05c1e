"""The `parameters` of a sweep file: what each trial may be given."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lit_seq.errors import UserError
from lit_seq.sweep.checks import choice, filled_list, mapping, number
from lit_seq.sweep.laws import EDGE, LAWS

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*$")
_LISTS = {
    "constant": ("value",),
    "categorical": ("values",),
    "categorical_w_probabilities": ("values", "probabilities"),
}
_KEYS = (
    *("value", "values", "probabilities", "distribution", "min", "max"),
    *("mu", "sigma", "q", "a", "b", "parameters"),
)
LARGEST_GRID = 10_000


@dataclass(frozen=True)
class Choices:
    """A parameter with listed values.

    Attributes:
        path: its key; several where `parameters` are nested.
        values: what it may be; one value makes a constant.
        probabilities: of each value; None for equal ones.
    """

    path: tuple[str, ...]
    values: tuple[Any, ...]
    probabilities: tuple[float, ...] | None = None

    @property
    def name(self) -> str:
        """The dotted key."""
        return ".".join(self.path)

    def grid(self) -> list[Any]:
        """Return the different values in their order; 1 and 1.0 are one value, as for W&B."""
        found: dict[str, Any] = {}
        for value in self.values:
            found.setdefault(identity(value), value)
        return list(found.values())

    def at(self, u: float) -> Any:
        """Return the value at quantile `u` in [0, 1]."""
        shares = self.probabilities or (1 / len(self.values),) * len(self.values)
        total = 0.0
        for value, share in zip(self.values, shares, strict=True):
            total += share
            if share and u < total:
                return value
        return [value for value, share in zip(self.values, shares, strict=True) if share][-1]


@dataclass(frozen=True)
class Drawn:
    """A parameter with a distribution on numbers.

    Attributes:
        path: its key; several where `parameters` are nested.
        law: name in `LAWS`.
        settings: the law's.
    """

    path: tuple[str, ...]
    law: str
    settings: Mapping[str, float]

    @property
    def name(self) -> str:
        """The dotted key."""
        return ".".join(self.path)

    def grid(self) -> list[Any] | None:
        """Return the values that W&B's grid takes from it; None where it takes none.

        Raises:
            UserError: there are more than `LARGEST_GRID`.
        """
        if self.law not in ("int_uniform", "q_uniform"):
            return None
        low, high, q = (self.settings.get(name, 1) for name in ("min", "max", "q"))
        # W&B's grid ends below `max` for q_uniform (numpy.arange), and at `max` for int_uniform.
        count = int(high - low) + 1 if self.law == "int_uniform" else math.ceil((high - low) / q - 1e-9)
        if count > LARGEST_GRID:
            raise UserError(
                f"parameters.{self.name} has {count:,} grid values; allowed: up to {LARGEST_GRID:,}."
            )
        steps = (low + i * q for i in range(count))
        return [step if isinstance(step, int) else float(f"{step:.12g}") for step in steps]

    def at(self, u: float) -> float:
        """Return the value at quantile `u` in [0, 1]."""
        return LAWS[self.law].quantile(min(max(u, EDGE), 1 - EDGE), **self.settings)


Parameter = Choices | Drawn


def read_parameters(content: Any, where: str, path: tuple[str, ...] = ()) -> list[Parameter]:
    """Read a `parameters` mapping, nested ones included.

    Args:
        content: what stands in the file.
        where: file and key, for messages.
        path: keys of the parameters that this one is nested in.

    Returns:
        Parameters in W&B's order: sorted by key at each level.

    Raises:
        UserError: anything in it is not as W&B documents it.
    """
    if not isinstance(content, dict) or not content:
        raise UserError(
            f"{where} must be a mapping from parameter names to their values, with at least one entry."
        )
    found: list[Parameter] = []
    for key in sorted(content):
        if not _NAME.match(key):
            raise UserError(
                f"{where}: {key!r} cannot be a parameter's name; allowed: letters, digits, '_', '.' and '-'."
            )
        inner = content[key]
        if isinstance(inner, dict) and "parameters" in inner:
            mapping(inner, f"{where}.{key}", ["parameters"])
            found += read_parameters(inner["parameters"], f"{where}.{key}.parameters", (*path, key))
        else:
            found.append(_read_parameter(inner, f"{where}.{key}", (*path, key)))
    names = [parameter.name for parameter in found]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"{where} sets {name!r} twice: by its dotted name and by nested parameters.")
    return found


def _read_parameter(content: Any, where: str, path: tuple[str, ...]) -> Parameter:
    mapping(content, where, _KEYS)
    kind = _distribution(content, where)
    if kind in _LISTS:
        keys = _LISTS[kind]
        mapping(content, f"{where} (distribution {kind})", [*keys, "distribution"], required=keys)
        values = (
            [content["value"]] if kind == "constant" else filled_list(content["values"], f"{where}.values")
        )
        probabilities = None
        if kind == "categorical_w_probabilities":
            probabilities = _probabilities(content["probabilities"], len(values), f"{where}.probabilities")
        return Choices(path, tuple(values), probabilities)
    law = LAWS[kind]
    mapping(content, f"{where} (distribution {kind})", [*law.settings, "distribution"])
    return Drawn(path, kind, law.check(content, f"{where} (distribution {kind})"))


def _distribution(content: dict[str, Any], where: str) -> str:
    """Return the distribution's name, inferred as W&B does where it is not given."""
    if "distribution" in content:
        return choice(content["distribution"], f"{where}.distribution", [*_LISTS, *LAWS])
    if "value" in content:
        return "constant"
    if "values" in content:
        return "categorical_w_probabilities" if "probabilities" in content else "categorical"
    if "min" in content and "max" in content:
        bounds = [number(content[name], f"{where}.{name}") for name in ("min", "max")]
        return "int_uniform" if all(isinstance(bound, int) for bound in bounds) else "uniform"
    raise UserError(
        f"{where} says too little: give value, values, min and max, a distribution with its keys, or "
        "parameters."
    )


def _probabilities(content: Any, count: int, where: str) -> tuple[float, ...]:
    shares = [number(share, f"{where}[{index}]") for index, share in enumerate(filled_list(content, where))]
    if len(shares) != count:
        raise UserError(f"{where} has {len(shares)} elements for {count} values.")
    if any(share < 0 for share in shares) or not math.isclose(sum(shares), 1, rel_tol=1e-5):
        raise UserError(f"{where} must be at least 0 and add up to 1, but add up to {sum(shares):g}.")
    return tuple(float(share) for share in shares)


def identity(value: Any) -> str:
    """Return a text that is equal for values that W&B holds to be equal: 1 and 1.0 are."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return json.dumps(value, sort_keys=True)


def nested(parameters: list[Parameter], values: list[Any]) -> dict[str, Any]:
    """Return one trial's values as W&B's agent gets them: a mapping for each level of `parameters`."""
    tree: dict[str, Any] = {}
    for parameter, value in zip(parameters, values, strict=True):
        branch = tree
        for key in parameter.path[:-1]:
            branch = branch.setdefault(key, {})
        branch[parameter.path[-1]] = value
    return tree
