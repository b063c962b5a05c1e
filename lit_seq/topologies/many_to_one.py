"""A sequence in, one answer out."""

import math
from collections.abc import Callable, Iterable
from typing import Any, ClassVar

from torch import nn

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.samples import Sample
from lit_seq.topologies.comparison import answer_rows
from lit_seq.topologies.examples import answered, first
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.recurrent import Recurrent


class ManyToOne(Recurrent):
    """One class or value for a whole sequence: classification and regression.

    y = W·s + b with s the core's summary of the sequence: its output after each sequence's own last step
    (both ends of it where the core is bidirectional). Cross-entropy in nats, or mean squared error.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
        omega: coefficient of Pascanu's regulariser against vanishing gradients (`lit_seq.topologies.omega`),
            for training in the plain loop; null leaves it out, 0 only logs it.
        head_std: standard deviation of W, drawn from a normal distribution, with b zero; null draws both as
            `torch.nn.Linear` does.
    """

    values: ClassVar[tuple[str, ...]] = (*Recurrent.values, "head_std")
    alignments = ("sequence",)

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        omega: float | None = None,
        head_std: float | None = None,
    ) -> None:
        super().__init__(task, core, embedding_size, omega, head_std=head_std)
        if head_std is not None:
            if not 0 <= head_std < math.inf:
                raise UserError(f"head_std is {head_std}; it must be null, or a number that is at least 0.")
            nn.init.normal_(self.head.weight, std=head_std)
            nn.init.zeros_(self.head.bias)

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch; `state` is where the sequences start."""
        _, state = self.core(self.features(batch.inputs), state, batch.lengths)
        means, targets = self.loss_and_metrics(self.head(self.core.summary(state)), batch.targets)
        return Measured(means, targets, state)

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return class and probability, or values or bits, for each sequence, beside its target.

        Where the core attends, "attention" says to what.
        """
        _, state = self.core(self.features(batch.inputs), None, batch.lengths)
        rows = answer_rows(self.task, self.head(self.core.summary(state)), batch.targets)
        if (weights := self.core.attention_weights(state)) is not None:
            rows = [{**row, "attention": of} for row, of in zip(rows, weights.tolist(), strict=True)]
        return rows

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the answers to the first sequences."""
        batch = first(batches)
        return [] if batch is None else answered(self.task, batch, self.predictions(batch))
