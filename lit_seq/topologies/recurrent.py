"""Topologies with one answer for each step or sequence that a core reads: features → core → head."""

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lit_seq.cells import Jordan
from lit_seq.cores import Core, CoreState
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.processes import own_part, whole_means
from lit_seq.topologies.comparison import METRICS, compare, derived
from lit_seq.topologies.features import Features
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.omega import check_omega, measure_with_omega
from lit_seq.topologies.topology import Topology


class Recurrent(Topology):
    """Features of the inputs → core → linear head.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class with its options.
        embedding_size: features of a token's learned embedding, None for one-hot vectors; or of a frame.
            Vector inputs enter the core as they are.
        omega: coefficient of Pascanu's regulariser in training, logged as `train/omega`; see
            `lit_seq.topologies.omega`. None leaves it out, 0 only logs it.
        options: all other arguments of the subclass's constructor, as they were given.

    Raises:
        UserError: this topology cannot serve `task` or use `core`.
    """

    values: ClassVar[tuple[str, ...]] = ("omega",)
    switches: ClassVar[tuple[str, ...]] = ("omega",)
    metrics: ClassVar[tuple[str, ...]] = METRICS

    feeds_back = False
    """Whether a step's output is part of the next step's input."""

    omega: Tensor | None

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core],
        embedding_size: int | None,
        omega: float | None = None,
        **options: Any,
    ) -> None:
        # Not every subclass has the option omega.
        given = {} if omega is None else {"omega": omega}
        super().__init__(task, core=core, embedding_size=embedding_size, **given, **options)
        self.features = Features(self.task, embedding_size)
        self.core = core(self.feature_size)
        if not self.feeds_back and any(isinstance(module, Jordan) for module in self.core.modules()):
            raise UserError(
                f"{type(self).__name__} does not feed its output back, which is the only memory of the cell"
                " Jordan; use --model OutputFeedback."
            )
        self.head = nn.Linear(self.core.output_size, self.task.target_size)
        check_omega(omega, self.core)
        self.register_buffer("omega", None if omega is None else torch.tensor(float(omega)))

    def objective(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, Measured]:
        """Return what training minimises, the loss and what is added to it, and what one batch says."""
        if self.omega is None:
            measured = self.measure(batch, state)
            return self.minimised(measured, batch), measured
        sequences = len(batch.inputs)
        measured, omega = measure_with_omega(
            lambda: self.measure(batch, state), self.core, batch.inputs.shape[1], sequences
        )
        logged = whole_means({"omega": omega.detach()}, sequences, batch)
        measured = measured._replace(means={**measured.means, **logged})
        return self.minimised(measured, batch) + self.omega * own_part(omega, sequences, batch), measured

    def minimised(self, measured: Measured, batch: Batch) -> Tensor:
        """Return the loss as it is differentiated: here as it is logged."""
        return own_part(measured.means["loss"], measured.targets, batch)

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """See `Topology.derived`."""
        return derived(means)

    def initial_state(self, batch: int) -> CoreState:
        """Return the core's state before its first step."""
        return self.core.initial_state(batch)

    @property
    def feature_size(self) -> int:
        """Features of a step that enter the core."""
        return self.features.output_size

    def loss_and_metrics(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compare head outputs with targets; see `lit_seq.topologies.comparison.compare`."""
        return compare(self.task, outputs, targets, lengths, whole_epoch=not self.training)
