"""What one batch says about a model."""

from typing import NamedTuple

from torch import Tensor

from lit_seq.cores import CoreState


class Measured(NamedTuple):
    """What one batch says.

    Attributes:
        means: metric to its mean over what was counted; "loss" among them, and only it has a gradient.
        targets: how many targets the means are over, a scalar.
        state: the core's state after the batch.
    """

    means: dict[str, Tensor]
    targets: Tensor
    state: CoreState
