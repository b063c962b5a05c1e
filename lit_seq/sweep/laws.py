"""The distributions of a W&B sweep file, each by its quantile function.

One uniform number in [0, 1] picks a value, so a trial's parameters are a function of its place in the
sweep, and a search in [0, 1] works for every distribution alike. Definitions: W&B documentation,
"Sweep configuration options", distribution options for random and Bayesian search.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from lit_seq.errors import UserError
from lit_seq.sweep.checks import number, positive, whole

# The quantiles of 0 and 1 are infinite for unbounded laws; this is the smallest number that random draws.
EDGE = 2.0**-53

Quantile = Callable[..., float]
Number = TypeVar("Number", int, float)


@dataclass(frozen=True)
class Law:
    """A family of distributions.

    Attributes:
        quantile: (u in (0, 1), **settings) → value.
        settings: its keys in the sweep file with their defaults; None where a key must be given.
        above_zero: which of them must be positive.
        integers: whether all of them must be whole numbers.
    """

    quantile: Quantile
    settings: Mapping[str, float | None]
    above_zero: tuple[str, ...] = ()
    integers: bool = False

    def check(self, given: Mapping[str, Any], where: str) -> dict[str, float]:
        """Return all settings, defaults filled in.

        Raises:
            UserError: one is missing, of the wrong kind, or together they leave the range of a float.
        """
        settings: dict[str, float] = {}
        for name, default in self.settings.items():
            if name not in given:
                if default is None:
                    raise UserError(f"{where} lacks the key {name!r}.")
                settings[name] = default
                continue
            check = positive if name in self.above_zero else whole if self.integers else number
            settings[name] = check(given[name], f"{where}.{name}")
        if "min" in settings and settings["min"] >= settings["max"]:
            raise UserError(f"{where}: min {settings['min']} is not below max {settings['max']}.")
        if settings.get("sigma", 0.0) < 0:
            raise UserError(f"{where}.sigma must not be below 0, but is {settings['sigma']}.")
        try:
            ends = [float(self.quantile(u, **settings)) for u in (EDGE, 1 - EDGE)]
        except (OverflowError, ValueError):
            ends = [math.inf]
        if not all(math.isfinite(end) for end in ends):
            hint = " (its min and max are exponents of e)" if "log_uniform" in where else ""
            raise UserError(f"{where} leaves the range of floats{hint}: {settings}.")
        return settings


def uniform(u: float, min: float, max: float) -> float:  # noqa: A002  W&B's keys
    """X uniform on [min, max]."""
    return min + u * (max - min)


def int_uniform(u: float, min: int, max: int) -> int:  # noqa: A002
    """X uniform on the integers min, …, max."""
    return _clamp(min + int(u * (max - min + 1)), min, max)


def log_uniform(u: float, min: float, max: float) -> float:  # noqa: A002
    """Log X uniform on [min, max]: the bounds are exponents of e."""
    return math.exp(uniform(u, min, max))


def log_uniform_values(u: float, min: float, max: float) -> float:  # noqa: A002
    """Log X uniform on [log min, log max]."""
    return _clamp(log_uniform(u, math.log(min), math.log(max)), min, max)


def inv_log_uniform(u: float, min: float, max: float) -> float:  # noqa: A002
    """log(1/X) uniform on [min, max]."""
    return math.exp(-uniform(1 - u, min, max))


def inv_log_uniform_values(u: float, min: float, max: float) -> float:  # noqa: A002
    """log(1/X) uniform on [log(1/max), log(1/min)], which is `log_uniform_values`."""
    return log_uniform_values(u, min, max)


def normal(u: float, mu: float, sigma: float) -> float:
    """X normal with mean mu and standard deviation sigma."""
    from scipy.special import ndtri

    return mu + sigma * float(ndtri(u))


def log_normal(u: float, mu: float, sigma: float) -> float:
    """Log X normal with mean mu and standard deviation sigma."""
    return math.exp(normal(u, mu, sigma))


def beta(u: float, a: float, b: float) -> float:
    """X beta on [0, 1] with shapes a and b."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, u))


def _clamp(value: Number, low: Number, high: Number) -> Number:
    return min(max(value, low), high)


def _quantised(law: Law) -> Law:
    """Return the law of round(X / q) · q; whole where q is."""

    def quantile(u: float, q: float, **settings: float) -> float:
        steps = round(law.quantile(u, **settings) / q)
        # 0.1 · 3 is 0.30000000000000004: twelve digits keep the multiple and drop the rounding.
        return steps * q if isinstance(q, int) else float(f"{steps * q:.12g}")

    return Law(quantile, {**law.settings, "q": 1}, (*law.above_zero, "q"))


_BOUNDS = {"min": None, "max": None}
_NORMAL = {"mu": 0.0, "sigma": 1.0}
_PLAIN = {
    "uniform": Law(uniform, _BOUNDS),
    "log_uniform": Law(log_uniform, _BOUNDS),
    "log_uniform_values": Law(log_uniform_values, _BOUNDS, above_zero=("min", "max")),
    "normal": Law(normal, _NORMAL),
    "log_normal": Law(log_normal, _NORMAL),
    "beta": Law(beta, {"a": 1.0, "b": 1.0}, above_zero=("a", "b")),
}

LAWS: Mapping[str, Law] = {
    "int_uniform": Law(int_uniform, _BOUNDS, integers=True),
    **_PLAIN,
    **{f"q_{name}": _quantised(law) for name, law in _PLAIN.items()},
    "inv_log_uniform": Law(inv_log_uniform, _BOUNDS),
    "inv_log_uniform_values": Law(inv_log_uniform_values, _BOUNDS, above_zero=("min", "max")),
}
"""Every numeric distribution that W&B documents, by its name in the file."""
