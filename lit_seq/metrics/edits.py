"""How many symbols to mend until an answer is right."""

from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np

from lit_seq.metrics.row import Row

Symbols = Callable[[str], Sequence[Hashable]]
"""Cuts a text into symbols."""


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> int:
    """Return the fewest insertions, deletions and substitutions that turn one into the other (Levenshtein).

    D(i, j) = min(D(i-1, j) + 1, D(i, j-1) + 1, D(i-1, j-1) + [x_i ≠ y_j]), a row of all j at a time.
    """
    numbers: dict[Hashable, int] = {}
    x, y = (np.array([numbers.setdefault(s, len(numbers)) for s in symbols]) for symbols in (one, other))
    columns = np.arange(len(y) + 1)
    distance = columns
    for i, symbol in enumerate(x, 1):
        reached = np.append(i, np.minimum(distance[1:] + 1, distance[:-1] + (y != symbol)))
        # An insertion costs one a column: the least of all columns to the left, each with its way from there.
        distance = np.minimum.accumulate(reached - columns) + columns
    return int(distance[-1])


def error_rate(rows: Iterable[Row], symbols: Symbols) -> float:
    """Return edits over symbols of the references, all rows together, each against its nearest reference.

    Args:
        rows: answers with their references.
        symbols: cuts a text into words or phonemes (`str.split`) or into characters (`list`).
    """
    edits = length = 0
    for answer, references in rows:
        said = symbols(answer)
        nearest = min((edit_distance(said, right), len(right)) for right in map(symbols, references))
        edits, length = edits + nearest[0], length + nearest[1]
    return edits / length


def mean_edit_distance(rows: Iterable[Row]) -> float:
    """Return the mean number of characters to edit until the nearest reference is there."""
    return float(np.mean([min(edit_distance(said, right) for right in rights) for said, rights in rows]))


def exact_match(rows: Iterable[Row]) -> float:
    """Return the part of the answers that are a reference."""
    return float(np.mean([said in rights for said, rights in rows]))
