"""Findings as samples."""

from collections.abc import Mapping

from torch import Tensor

from lit_seq.samples import Series


def curves(title: str, values: Mapping[str, Tensor]) -> list[Series]:
    """Return curves, each (points,), as panels that are named by their keys, those of one length together."""
    by_length: dict[int, dict[str, list[float]]] = {}
    for name, of_one in values.items():
        by_length.setdefault(len(of_one), {})[name] = of_one.double().tolist()
    return [
        Series(title, list(alike), [], [], list(map(list, zip(*alike.values(), strict=True))))
        for alike in by_length.values()
    ]


def log_curves(title: str, values: Mapping[str, Tensor]) -> list[Series]:
    """Return `curves` of logarithms to base 10; what is zero leaves a gap."""
    return curves(title, {name: of_one.double().log10() for name, of_one in values.items()})
