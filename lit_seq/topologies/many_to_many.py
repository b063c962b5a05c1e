"""A sequence in, one answer a step."""

from collections.abc import Callable
from typing import Any

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology


class ManyToMany(Topology):
    """One class or value at each step of a sequence: tagging, transduction of aligned sequences.

    y_t = W·h_t + b with h_t the core's output. Cross-entropy in nats over all steps that count, or mean
    squared error.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
    """

    alignments = ("step",)

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
    ) -> None:
        super().__init__(task, core, embedding_size)

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch; `state` is where the sequences start."""
        outputs, state = self.core(self.features(batch.inputs), state, batch.lengths)
        means, targets = self.loss_and_metrics(
            self.head(outputs), batch.targets.transpose(0, 1), batch.lengths
        )
        return Measured(means, targets, state)

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the class, value or bits at each step of each sequence, beside the targets."""
        outputs, _ = self.core(self.features(batch.inputs), None, batch.lengths)
        outputs = self.head(outputs).transpose(0, 1)
        if self.task.targets == "classes":
            outputs = outputs.argmax(-1)
        elif self.task.targets == "bits":
            outputs = (outputs > 0).long()
        names = self.task.labels
        lengths = [batch.inputs.shape[1]] * len(outputs) if batch.lengths is None else batch.lengths.tolist()
        rows = []
        for length, predicted, target in zip(lengths, outputs.tolist(), batch.targets.tolist(), strict=True):
            row = {"prediction": predicted[:length], "target": target[:length]}
            if names and self.task.targets == "bits":
                row = {
                    key: [[name for name, bit in zip(names, bits, strict=True) if bit == 1] for bits in value]
                    for key, value in row.items()
                }
            elif names:
                row = {key: [names[i] if i != IGNORED else None for i in value] for key, value in row.items()}
            rows.append(row)
        return rows
