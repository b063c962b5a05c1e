"""What a DataModule yields."""

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One batch of sequences, batch first as everywhere outside the cores.

    Attributes:
        inputs: tokens, (batch, time) int64; vectors, (batch, time, features) float; frames, (batch, time,
            channels, height, width) float; without time a vector or an image, less the second dimension.
        targets: one a sequence: classes, (batch,) int64; values, (batch, values) float; bits, (batch, bits)
            int64. One a step: the same with time as second dimension, which is the target's own time where it
            is a sequence of its own or the future. Padding is `IGNORED` where it is int64.
        lengths: steps of the input that count in each sequence, (batch,) int64; None when all do.
    """

    inputs: Tensor
    targets: Tensor
    lengths: Tensor | None = None


IGNORED = -100
"""Target class or bit that no loss or metric counts (the default `ignore_index` of `cross_entropy`)."""
