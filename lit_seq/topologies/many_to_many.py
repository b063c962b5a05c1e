"""A sequence in, one answer a step."""

from collections.abc import Callable, Iterable
from typing import Any, ClassVar, Literal

from torch import Tensor

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.metrics.tagging import ENTITY_METRICS, entity_scores, marks_entities
from lit_seq.processes import own_part
from lit_seq.samples import Sample, Series, Tags
from lit_seq.scan.padding import readable
from lit_seq.topologies.comparison import METRICS
from lit_seq.topologies.examples import first, steps, words
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.recurrent import Recurrent
from lit_seq.topologies.tagged import tokens_of
from lit_seq.topologies.truncation import check_truncation, run_truncated


class ManyToMany(Recurrent):
    """One class or value at each step of a sequence: tagging, transduction of aligned sequences.

    y_t = W·h_t + b with h_t the core's output. Cross-entropy in nats over all steps that count, or mean
    squared error. Of classes that mark entities, B-PER, I-PER, … and O, the entities' F1 is measured too.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
        washout: first steps of a sequence, which are counted in no loss or metric; each must have more.
        truncation: steps after which gradients on their way back through time stop, in training; null lets
            them reach the first step (`lit_seq.topologies.truncation`).
        step_gradients: whether the gradients of a sequence's steps are averaged or summed, as a mean over
            sequences; the loss is logged as a mean either way.
        omega: coefficient of Pascanu's regulariser against vanishing gradients (`lit_seq.topologies.omega`),
            for training in the plain loop; null leaves it out, 0 only logs it.
    """

    alignments = ("step",)
    metrics: ClassVar[tuple[str, ...]] = (*METRICS, *ENTITY_METRICS)

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        washout: int = 0,
        truncation: int | None = None,
        step_gradients: Literal["mean", "sum"] = "mean",
        omega: float | None = None,
    ) -> None:
        # A subclass need not have these options.
        options: dict[str, Any] = {"washout": washout} if washout else {}
        options |= {} if truncation is None else {"truncation": truncation}
        options |= {"step_gradients": step_gradients} if step_gradients != "mean" else {}
        super().__init__(task, core, embedding_size, omega, **options)
        if washout < 0:
            raise UserError(f"{type(self).__name__}: washout is {washout}; it must be at least 0.")
        check_truncation(truncation, self.core, omega)
        if step_gradients == "sum" and self.task.targets == "bits":
            raise UserError(
                f"{type(self).__name__}: with bits as targets every sequence counts alike, however many steps"
                " it has; step_gradients must be mean."
            )
        self.washout = washout
        self.truncation = truncation
        self.step_gradients = step_gradients

    def forward(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, CoreState]:
        """Return the head's outputs, (time, batch, target_size), and the state after the batch."""
        inputs = self.features(batch.inputs)
        if self.training and self.truncation is not None:
            outputs, state = run_truncated(self.core, inputs, state, batch.lengths, self.truncation)
        else:
            outputs, state = self.core(inputs, state, batch.lengths)
        return self.head(outputs), state

    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch; `state` is where the sequences start."""
        outputs, state = self(batch, state)
        means, targets = self.loss_and_metrics(*self.counted(batch, outputs))
        judged = marks_entities(self.task.labels) and not self.training
        return Measured(means, targets, state, outputs.argmax(-1).mT if judged else ())

    def rows(self, batch: Batch, answers: Any) -> list[Any]:
        """Return the tags of each sequence as the model says and as they are, where they mark entities."""
        names, behind = self.task.labels or (), slice(self.washout, None)
        if not isinstance(answers, Tensor):
            return []
        rows = []
        for said, right in zip(answers[:, behind].tolist(), batch.targets[:, behind].tolist(), strict=True):
            counted = [pair for pair in zip(said, right, strict=True) if pair[1] != IGNORED]
            rows.append(([names[one] for one, _ in counted], [names[one] for _, one in counted]))
        return rows

    def scored(self, rows: list[Any]) -> dict[str, float]:
        """Return precision, recall and F1 of the entities that tags mark."""
        return entity_scores(rows) if marks_entities(self.task.labels) else {}

    def minimised(self, measured: Measured, batch: Batch) -> Tensor:
        """Return the loss, or its sum over steps as a mean over sequences."""
        if self.step_gradients == "mean":
            return super().minimised(measured, batch)
        sequences = len(batch.inputs)
        return own_part(measured.means["loss"] * (measured.targets / sequences), sequences, batch)

    def counted(self, batch: Batch, outputs: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the outputs behind the washout, time first, with their targets and lengths.

        Raises:
            UserError: a sequence has no steps behind it.
        """
        targets, lengths, first = batch.targets.transpose(0, 1), batch.lengths, self.washout
        if not first:
            return outputs, targets, lengths
        shortest = len(outputs)
        if lengths is not None and readable(lengths):
            shortest = int(lengths.min())
        if shortest <= first:
            raise UserError(
                f"{type(self).__name__}: a sequence has {shortest} steps; it must have more than the washout,"
                f" {first}."
            )
        return outputs[first:], targets[first:], None if lengths is None else (lengths - first).clamp(min=0)

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return the class, value or bits at each step of each sequence, beside the targets.

        Where the steps are text with a class for each token, "tokens" are those.
        """
        outputs = self(batch)[0].transpose(0, 1)
        if self.task.targets == "classes":
            outputs = outputs.argmax(-1)
        elif self.task.targets == "bits":
            outputs = (outputs > 0).long()
        names = self.task.labels
        rows = []
        for place, (predicted, target) in enumerate(
            zip(outputs.tolist(), batch.targets.tolist(), strict=True)
        ):
            inputs = steps(batch, place)
            row = {"prediction": predicted[: len(inputs)], "target": target[: len(inputs)]}
            if names and self.task.targets == "bits":
                row = {
                    key: [[name for name, bit in zip(names, bits, strict=True) if bit == 1] for bits in value]
                    for key, value in row.items()
                }
            elif names:
                row = {key: [names[i] if i != IGNORED else None for i in value] for key, value in row.items()}
            if self.task.targets == "classes" and self.task.vocabulary is not None:
                tokens, ends = tokens_of(self.task, inputs, target)
                row = {"tokens": tokens, **{key: [value[end] for end in ends] for key, value in row.items()}}
            rows.append(row)
        return rows

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return the answers to the first sequences: labels of tokens, or values beside the right ones."""
        batch = first(batches)
        if batch is None or self.task.targets == "bits":
            return []
        rows = self.predictions(batch)
        if self.task.targets == "values":
            names = list(self.task.features or (f"value {i + 1}" for i in range(self.task.target_size)))
            return [
                Series(f"sequence {place + 1}", names, [], row["target"], row["prediction"])
                for place, row in enumerate(rows)
            ]
        return [
            Tags(
                row.get("tokens") or words(self.task, steps(batch, place)),
                [None if wanted in (None, IGNORED) else str(wanted) for wanted in row["target"]],
                [str(said) for said in row["prediction"]],
            )
            for place, row in enumerate(rows)
        ]
