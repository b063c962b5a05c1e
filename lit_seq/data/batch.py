"""What a DataModule yields."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch of sequences, batch first as everywhere outside the cores.

    Attributes:
        inputs: tokens, (batch, time) int64; or vectors, (batch, time, features) float.
        targets: one a sequence: (batch,) int64 or (batch, values) float; one a step:
            (batch, time) int64 or (batch, time, values) float. Padding is `IGNORED` where it is int64.
        lengths: steps that count in each sequence, (batch,) int64; None when all do.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None


IGNORED = -100
"""Class target that no loss or metric counts (the default `ignore_index` of `cross_entropy`)."""
