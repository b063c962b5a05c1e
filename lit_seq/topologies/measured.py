"""What one batch says about a model."""

from typing import Any, NamedTuple

from torch import Tensor

from lit_seq.cores import CoreState


class Measured(NamedTuple):
    """What one batch says.

    Attributes:
        means: metric to its mean over what was counted; "loss" among them, and only it has a gradient.
        targets: how many targets the means are over, a scalar.
        state: what the next batch goes on from, such as the core's state; () where there is none.
        answers: what the model answered, tensors (batch, …) nested in any way, for `Topology.rows`; asked for
            on held-out data only.
    """

    means: dict[str, Tensor]
    targets: Tensor
    state: CoreState = ()
    answers: Any = ()
