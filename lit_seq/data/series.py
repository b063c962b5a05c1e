"""Series of numbers out of the columns of a table."""

from collections.abc import Sequence
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor

from lit_seq.data.source import Source
from lit_seq.errors import UserError


class Series(NamedTuple):
    """One series.

    Attributes:
        values: (steps, columns) float64.
        rows: the rows of the table that it was in, counted from 0.
    """

    values: Tensor
    rows: Sequence[int]


def read_series(
    source: Source, rows: Any, columns: Sequence[str], series_column: str | None = None
) -> list[Series]:
    """Read the series that a loaded data set holds, in any of three layouts.

    Args:
        source: where the data set is from.
        rows: the data set.
        columns: those that hold the values. A row with a number in each is a step; a row with a list of
            numbers in each, all of the same length, is a series.
        series_column: what it holds says which series a row is a step of, in the order of rows; None: there
            is one series.

    Raises:
        UserError: there is no such column, or a step without a finite number in each of them.
    """
    if not columns:
        raise UserError(f"no column of {source} is named; columns must name those that hold the values.")
    table = [list(source.column(rows, name)) for name in columns]
    if not table[0]:
        return []
    if isinstance(table[0][0], list):
        of_rows = zip(*table, strict=True)
        return [Series(_lists(source, columns, cells, row), [row]) for row, cells in enumerate(of_rows)]
    values = torch.stack(
        [_numbers(source, name, cells) for name, cells in zip(columns, table, strict=True)], 1
    )
    if series_column is None:
        return [Series(values, range(len(values)))]
    members: dict[Any, list[int]] = {}
    for row, key in enumerate(source.column(rows, series_column)):
        members.setdefault(key, []).append(row)
    return [Series(values[of], of) for of in members.values()]


def scale_of(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each column of (steps, columns); 1 where a column is constant."""
    deviation, mean = torch.std_mean(values, 0, correction=0)
    return mean, torch.where(deviation > 0, deviation, 1.0)


def _lists(source: Source, columns: Sequence[str], cells: Sequence[Any], row: int) -> Tensor:
    """Return the series of one row, (steps, columns)."""
    for name, cell in zip(columns, cells, strict=True):
        if not isinstance(cell, list) or not cell or len(cell) != len(cells[0]):
            held = f"a list of {len(cell)}" if isinstance(cell, list) else repr(cell)
            raise UserError(
                f"column {name} of {source} holds {held} in row {row + 1}; every column of a row must hold a"
                " list of numbers, of the same length and not empty."
            )
    return torch.stack(
        [_numbers(source, name, cell, row) for name, cell in zip(columns, cells, strict=True)], 1
    )


def _numbers(source: Source, name: str, cells: Sequence[Any], row: int | None = None) -> Tensor:
    """Return the numbers of a column, or of the list in one row of it."""
    wrong = [
        (place, cell)
        for place, cell in enumerate(cells, 1)
        if not isinstance(cell, int | float) or not isfinite(cell)
    ]
    if wrong:
        # One word makes texts of all cells of a CSV column: the word is to blame.
        place, cell = next((one for one in wrong if not _is_written_number(one[1])), wrong[0])
        where = f"row {place}" if row is None else f"step {place} of row {row + 1}"
        held = "nothing" if cell is None else repr(cell)
        raise UserError(
            f"column {name} of {source} holds {held} in {where}; a series needs a finite number at every"
            " step, so fill the gap or leave the step out."
        )
    return torch.tensor(cells, dtype=torch.float64)


def _is_written_number(cell: Any) -> bool:
    try:
        return isinstance(cell, str) and isfinite(float(cell))
    except ValueError:
        return False
