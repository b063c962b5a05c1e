"""Validation and test rows of data that has none."""

from collections.abc import Mapping
from typing import TypeVar

import torch

from lit_seq.data.loader import generator
from lit_seq.data.module import Split

Row = TypeVar("Row")


def with_held_out(
    rows: Mapping[Split, list[Row]], fractions: Mapping[Split, float], seed: int
) -> dict[Split, list[Row]]:
    """Return `rows` with the splits that they lack drawn from the training rows.

    Args:
        rows: rows of each split that there is, "train" at least.
        fractions: part of the training rows that each split gets if there is none.
        seed: decides which rows those are.
    """
    train, splits = rows["train"], dict(rows)
    drawn = torch.randperm(len(train), generator=generator(seed, 1)).tolist()
    for split, fraction in fractions.items():
        if split not in rows and (count := round(len(train) * fraction)):
            splits[split] = [train[row] for row in drawn[:count]]
            drawn = drawn[count:]
    return splits | {"train": [train[row] for row in drawn]}
