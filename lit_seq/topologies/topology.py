"""What all input/output shapes share: a LightningModule sized from a task."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lit_seq.cores import CoreState
from lit_seq.data.batch import Batch
from lit_seq.data.task import Inputs, Task
from lit_seq.errors import UserError
from lit_seq.processes import (
    in_order,
    of_all_processes,
    own_part,
    own_state,
    whole_means,
    whole_state,
)
from lit_seq.samples import Sample, Statement
from lit_seq.topologies.means import EpochMeans
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.specification import describe

_INPUTS = {
    "tokens": "sequences of tokens",
    "vectors": "sequences of vectors",
    "frames": "sequences of images",
    "vector": "a vector without time",
    "image": "an image without time",
}
_TARGETS = {
    "sequence": "one target a sequence",
    "step": "one target a step",
    "next": "running text, whose target is the next token",
    "own": "targets that are sequences of their own",
    "future": "the future of a series as its target",
    "node": "a target for each node of a tree",
}


class Topology(L.LightningModule, ABC):
    """A model for one shape of input and output, with its loss, metrics, predictions and samples.

    `measure` is a pure function of parameters, batch and state, written for one trial in ordinary
    PyTorch: it is all that packing needs.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        options: all other arguments of the subclass's constructor, as they were given: a checkpoint keeps
            them to build the model anew.

    Raises:
        UserError: this topology cannot serve `task`.
    """

    values: ClassVar[tuple[str, ...]] = ()
    """Constructor arguments in which stacked trials may differ."""

    switches: ClassVar[tuple[str, ...]] = ()
    """Those of `values` of which None is another function, so that it stacks with None alone."""

    metrics: ClassVar[tuple[str, ...]] = ("loss",)
    """What is logged of what `measure`, `derived` and `scored` give, behind `train/`, `val/` or `test/`."""

    alignments: ClassVar[tuple[str, ...]]
    """Values of `Task.alignment` that the topology serves."""

    kinds: ClassVar[tuple[Inputs, ...]] = ("tokens", "vectors", "frames")
    """Values of `Task.inputs` that it serves."""

    carries_state = False
    """Whether a batch goes on where the last one stopped (truncated backpropagation through time)."""

    scheduled: ClassVar[bool] = False
    """Whether something depends on how far training is: then `trained_steps` says so."""

    trained_steps: Tensor
    """Steps that were trained, a scalar; only where `scheduled`."""

    alone: ClassVar[str | None] = None
    """Why trials of this topology cannot be stacked; None where they can."""

    def __init__(self, task: Task | dict[str, Any], **options: Any) -> None:
        super().__init__()
        self.task = task if isinstance(task, Task) else Task(**task)
        self._check_task()
        if self.scheduled:
            self.register_buffer("trained_steps", torch.zeros(()), persistent=False)
        self._epoch = EpochMeans()
        self._rows: list[list[Any]] = []
        self._carried: CoreState | None = None
        # The two underscored keys are how Lightning re-creates a module from its hyperparameters.
        self.save_hyperparameters(
            {
                "_instantiator": "lightning.pytorch.cli.instantiate_module",
                "_class_path": f"{type(self).__module__}.{type(self).__qualname__}",
                "task": self.task.to_dict(),
                **{name: describe(value) for name, value in options.items()},
            },
            logger=False,
        )

    @abstractmethod
    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch, without side effects."""

    def objective(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, Measured]:
        """Return what training minimises, by way of `own_part`, and what one batch says."""
        measured = self.measure(batch, state)
        return own_part(measured.means["loss"], measured.targets, batch), measured

    @abstractmethod
    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what the model says of each sequence of `batch`, as plain data that a person can read."""

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return what a person looks at to see what the model has learned.

        Args:
            batches: held-out data, of which as much is drawn as is needed.
        """
        return []

    def remarks(self, validations: Mapping[str, Sequence[float]]) -> list[Statement]:
        """Return what the course of training says, in sentences.

        Args:
            validations: the values of each metric in all validations so far, such as those of "val/loss".
        """
        return []

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return further metrics, functions of means over a whole epoch, of one trial or of stacked ones."""
        return {}

    def rows(self, batch: Batch, answers: Any) -> list[Any]:
        """Return what `scored` needs of the answers to a held-out batch, as plain data.

        Args:
            batch: the batch.
            answers: `Measured.answers` of it.
        """
        return []

    def scored(self, rows: list[Any]) -> dict[str, float]:
        """Return metrics that are no means over batches, from the rows of a whole epoch."""
        return {}

    def reported(self, stage: str, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what is logged of means: over a batch of "train", over the whole epoch of another stage."""
        named = {**means, **self.derived({"loss": means["loss"].detach()} if stage == "train" else means)}
        logged = (*self.metrics, "omega")
        return {f"{stage}/{name}": value for name, value in named.items() if name in logged}

    def initial_state(self, batch: int) -> CoreState:
        """Return the state before the first of consecutive batches of `batch` sequences.

        Raises:
            NotImplementedError: batches do not go on where the last one stopped.
        """
        raise NotImplementedError(f"{type(self).__name__} carries no state.")

    def on_fit_start(self) -> None:
        """Bring a carried state out of a checkpoint, which is read on the CPU, to where the model is."""
        if self._carried is not None:
            self._carried = torch.utils._pytree.tree_map(lambda leaf: leaf.to(self.device), self._carried)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Say how far training is."""
        if self.scheduled:
            self.trained_steps.fill_(self.trainer.global_step)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the objective; carry the state to the next batch where the topology does."""
        objective, measured = self.objective(batch, self._state_before(batch_idx))
        self._carry(measured)
        means = whole_means(measured.means, measured.targets, batch)
        self.log_dict(self.reported("train", means))
        self.log("loss", means["loss"], prog_bar=True, logger=False)
        return objective

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the batch to the epoch's means."""
        self._accumulate(batch, batch_idx)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Add the batch to the epoch's means."""
        self._accumulate(batch, batch_idx)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[dict[str, Any]]:
        """Return `predictions` of the batch."""
        return self.predictions(batch)

    def on_validation_epoch_start(self) -> None:
        """Put training's carried state aside: validation starts its own."""
        self._set_aside, self._carried = self._carried, None

    def on_validation_epoch_end(self) -> None:
        """Log the epoch's means and take up training's carried state again."""
        self._log_epoch_means("val")
        self._carried = self._set_aside

    def on_test_epoch_end(self) -> None:
        """Log the epoch's means."""
        self._log_epoch_means("test")

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip as the trainer is told, and log the gradient's norm before and after."""
        logged = (self.trainer.global_step + 1) % log_every(self.trainer) == 0
        parameters = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if logged:
            self.log("train/gradient_norm", _norm(parameters))
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)
        if logged and gradient_clip_val:
            self.log("train/gradient_norm_clipped", _norm(parameters))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the carried state, so that a resumed run goes on in the middle of a text."""
        if self._carried is not None:
            checkpoint["carried_state"] = whole_state(torch.utils._pytree.tree_leaves(self._carried))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the carried state up again."""
        leaves = checkpoint.get("carried_state")
        if leaves is not None:
            _, structure = torch.utils._pytree.tree_flatten(self.initial_state(len(leaves[0])))
            self._carried = torch.utils._pytree.tree_unflatten(own_state(leaves), structure)

    def _state_before(self, batch_idx: int) -> CoreState | None:
        return self._carried if self.carries_state and batch_idx else None

    def _carry(self, measured: Measured) -> None:
        if self.carries_state:
            self._carried = torch.utils._pytree.tree_map(torch.detach, measured.state)

    def _accumulate(self, batch: Batch, batch_idx: int) -> None:
        if batch.idle:
            self._rows.append([])
            return
        measured = self.measure(batch, self._state_before(batch_idx))
        self._carry(measured)
        self._epoch.add(measured.means, measured.targets)
        self._rows.append(self.rows(batch, measured.answers))

    def _log_epoch_means(self, stage: str) -> None:
        epoch = EpochMeans()
        parts = of_all_processes((self._epoch.totals, self._epoch.targets, self._rows))
        self._epoch, self._rows = EpochMeans(), []
        for totals, targets, _ in parts:
            epoch.include(totals, targets)
        if not epoch.totals:
            return
        batches = zip_longest(*(rows for _, _, rows in parts), fillvalue=[])
        rows = [row for batch in batches for row in in_order(batch)]
        scores = {name: torch.tensor(score) for name, score in self.scored(rows).items()}
        self.log_dict(self.reported(stage, {**epoch.means(), **scores}), prog_bar=stage == "val")

    def _check_task(self) -> None:
        for served, own, sentences in (
            (self.kinds, self.task.inputs, _INPUTS),
            (self.alignments, self.task.alignment, _TARGETS),
        ):
            if own not in served:
                wanted = " or ".join(sentences[one] for one in served)
                raise UserError(
                    f"{type(self).__name__} takes data with {wanted}; this data has {sentences[own]}."
                )


def log_every(trainer: L.Trainer) -> int:
    """Return after how many steps the trainer logs."""
    return trainer.log_every_n_steps  # type: ignore[attr-defined]


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
