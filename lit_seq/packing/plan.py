"""How many trials a pack gets, and which."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from lit_seq.errors import UserError
from lit_seq.packing.keys import PackKey
from lit_seq.sweep.search import dotted

TrialT = TypeVar("TrialT")

MOST_ON_CPU = 16
"""A stack of more gains nothing on a processor (measured, benchmarks/results/)."""

MOST_ON_GPU = 64
"""Both are for small models: memory may allow fewer (`lit_seq.packing.memory`)."""


def pack_size(option: str) -> int:
    """Return the most trials of a pack.

    Args:
        option: "off", "auto" or a number: what `lit-seq sweep --pack` was given.

    Raises:
        UserError: `option` is something else.
    """
    if option == "off":
        return 1
    if option == "auto":
        import torch

        return MOST_ON_GPU if torch.cuda.is_available() else MOST_ON_CPU
    if not option.isdigit() or int(option) < 1:
        raise UserError(f"--pack is {option!r}; allowed: auto, off, or a number from 1.")
    return int(option)


def choose(waiting: Sequence[TrialT], key: Callable[[TrialT], Hashable], size: int) -> list[TrialT]:
    """Return the first of `waiting` and those, up to `size`, that can be stacked with it."""
    if size == 1:
        return list(waiting[:1])
    first = key(waiting[0])
    return [trial for trial in waiting if key(trial) == first][:size]


class _Seen(NamedTuple):
    key: PackKey
    others: dict[str, Any]


class Keys:
    """Pack keys of trials by what a sweep sets, so that few configurations have to be parsed.

    Args:
        parse: a sweep's values of a trial to the key of its configuration.
    """

    def __init__(self, parse: Callable[[dict[str, Any]], PackKey]) -> None:
        self._parse = parse
        self._seen: list[_Seen] = []

    def __call__(self, values: dict[str, Any]) -> str:
        """Return what a trial must have in common with others to be stacked with them.

        Args:
            values: what the sweep sets, nested.
        """
        return self._find(values).key.common

    def count(self, values: dict[str, Any], everyone: Iterable[dict[str, Any]]) -> int:
        """Return how many trials of a sweep can be stacked with one of them, itself included.

        Args:
            values: what the sweep sets for that one, nested.
            everyone: the same for all of them.
        """
        key, others = self._find(values)
        return sum(_less(_short(one), key) == others for one in everyone)

    def _find(self, values: dict[str, Any]) -> _Seen:
        short = _short(values)
        for seen in self._seen:
            if _less(short, seen.key) == seen.others:
                return seen
        key = self._parse(values)
        self._seen.append(_Seen(key, _less(short, key)))
        return self._seen[-1]


def _short(values: dict[str, Any]) -> dict[str, Any]:
    return {name.replace(".init_args.", "."): value for name, value in dotted(values).items()}


def _less(values: dict[str, Any], key: PackKey) -> dict[str, Any]:
    # Of some options None is another function: whether so, a configuration that is parsed says.
    return {name: value for name, value in values.items() if name not in key.values or value is None}
