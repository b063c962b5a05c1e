"""What all input/output shapes share: a LightningModule sized from a task."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import lightning as L
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer

from lit_seq.cells import Jordan
from lit_seq.cores import Core, CoreState
from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.bits import BIT_METRICS, compare_bits
from lit_seq.topologies.means import EpochMeans
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.omega import check_omega, measure_with_omega
from lit_seq.topologies.specification import describe
from lit_seq.topologies.values import VALUE_METRICS, compare_values, nrmse

_TARGETS = {
    "sequence": "one target a sequence",
    "step": "one target a step",
    "next": "running text, whose target is the next token",
}


class Topology(L.LightningModule, ABC):
    """A model for one shape of input and output: embedding → core → head → loss and metrics.

    `measure` is a pure function of parameters, batch and state, written for one trial in ordinary
    PyTorch: it is all that packing needs.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors. Vector inputs
            enter the core as they are.
        omega: coefficient of Pascanu's regulariser in training, logged as `train/omega`; see
            `lit_seq.topologies.omega`. None leaves it out, 0 only logs it.

    Raises:
        UserError: this topology cannot serve `task` or use `core`.
    """

    values: ClassVar[tuple[str, ...]] = ("omega",)
    """Constructor arguments in which stacked trials may differ."""

    switches: ClassVar[tuple[str, ...]] = ("omega",)
    """Those of `values` of which None is another function, so that it stacks with None alone."""

    metrics: ClassVar[tuple[str, ...]] = ("loss", "accuracy", *BIT_METRICS, *VALUE_METRICS)
    """Names of what `measure` and `derived` give that is logged, behind `train/`, `val/` and `test/`."""

    alignments: ClassVar[tuple[str, ...]]
    """Values of `Task.alignment` that the topology serves."""

    carries_state = False
    """Whether a batch goes on where the last one stopped (truncated backpropagation through time)."""

    feeds_back = False
    """Whether a step's output is part of the next step's input."""

    omega: Tensor | None

    alone: ClassVar[str | None] = None
    """Why trials of this topology cannot be stacked; None where they can."""

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core],
        embedding_size: int | None,
        omega: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        task = task if isinstance(task, Task) else Task(**task)
        if task.alignment not in self.alignments:
            wanted = " or ".join(_TARGETS[one] for one in self.alignments)
            raise UserError(
                f"{type(self).__name__} takes data with {wanted}; this data has {_TARGETS[task.alignment]}."
            )
        self.task = task
        self.embedding = (
            nn.Embedding(task.input_size, embedding_size)
            if task.inputs == "tokens" and embedding_size is not None
            else None
        )
        self.core = core(self.feature_size)
        if not self.feeds_back and any(isinstance(module, Jordan) for module in self.core.modules()):
            raise UserError(
                f"{type(self).__name__} does not feed its output back, which is the only memory of the cell"
                " Jordan; use --model OutputFeedback."
            )
        self.head = nn.Linear(self.core.output_size, task.target_size)
        check_omega(omega, self.core)
        self.register_buffer("omega", None if omega is None else torch.tensor(float(omega)))
        self._epoch = EpochMeans()
        self._carried: CoreState | None = None
        description = {
            "task": task.to_dict(),
            "core": describe(core),
            "embedding_size": embedding_size,
            # Not every subclass has the option.
            **({} if omega is None else {"omega": omega}),
            **{name: describe(value) for name, value in options.items()},
        }
        # The two underscored keys are how Lightning re-creates a module from its hyperparameters.
        self.save_hyperparameters(
            {
                "_instantiator": "lightning.pytorch.cli.instantiate_module",
                "_class_path": f"{type(self).__module__}.{type(self).__qualname__}",
                **description,
            },
            logger=False,
        )

    @abstractmethod
    def measure(self, batch: Batch, state: CoreState | None = None) -> Measured:
        """Return loss and metrics of one batch, without side effects."""

    def objective(self, batch: Batch, state: CoreState | None = None) -> tuple[Tensor, Measured]:
        """Return what training minimises, the loss and what is added to it, and what one batch says."""
        if self.omega is None:
            measured = self.measure(batch, state)
            return self.minimised(measured, batch), measured
        measured, omega = measure_with_omega(
            lambda: self.measure(batch, state), self.core, batch.inputs.shape[1], batch.inputs.shape[0]
        )
        measured = measured._replace(means={**measured.means, "omega": omega.detach()})
        return self.minimised(measured, batch) + self.omega * omega, measured

    def minimised(self, measured: Measured, batch: Batch) -> Tensor:
        """Return the loss as it is differentiated: here as it is logged."""
        return measured.means["loss"]

    @abstractmethod
    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return what the model says of each sequence of `batch`, as plain data that a person can read."""

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return further metrics, functions of means over a whole epoch, of one trial or of stacked ones."""
        return nrmse(means)

    def reported(self, stage: str, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what is logged of means: over a batch of "train", over the whole epoch of another stage."""
        named = {**means, **self.derived({"loss": means["loss"].detach()} if stage == "train" else means)}
        logged = (*self.metrics, "omega")
        return {f"{stage}/{name}": value for name, value in named.items() if name in logged}

    @property
    def feature_size(self) -> int:
        """Features of a step that enter the core."""
        return self.task.input_size if self.embedding is None else self.embedding.embedding_dim

    def features(self, inputs: Tensor) -> Tensor:
        """Turn a batch of tokens or vectors, batch first, into the core's (time, batch, features)."""
        if self.task.inputs == "vectors":
            return inputs.transpose(0, 1)
        tokens = inputs.transpose(0, 1)
        if self.embedding is not None:
            return self.embedding(tokens)
        return functional.one_hot(tokens, self.task.input_size).to(self.head.weight.dtype)

    def loss_and_metrics(
        self, outputs: Tensor, targets: Tensor, lengths: Tensor | None = None
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Compare head outputs with targets.

        Args:
            outputs: (…, target_size).
            targets: (…) int64, `IGNORED` where nothing counts; or (…, target_size) values or bits.
            lengths: steps that count of (time, batch, target_size) values, (batch,) int64; None when all do.

        Returns:
            Cross-entropy in nats and accuracy of classes, or mean squared error of values, and how many
            targets were counted; of values `lit_seq.topologies.values.compare_values` says more, of bits
            `lit_seq.topologies.bits.compare_bits`.
        """
        if self.task.targets == "bits":
            return compare_bits(outputs, targets)
        if self.task.targets == "values":
            return compare_values(outputs, targets, lengths)
        counted = targets != IGNORED
        loss = functional.cross_entropy(outputs.flatten(0, -2), targets.flatten(), ignore_index=IGNORED)
        with torch.no_grad():
            correct = ((outputs.argmax(-1) == targets) & counted).sum() / counted.sum()
        return {"loss": loss, "accuracy": correct}, counted.sum()

    def on_fit_start(self) -> None:
        """Bring a carried state out of a checkpoint, which is read on the CPU, to where the model is."""
        if self._carried is not None:
            self._carried = torch.utils._pytree.tree_map(lambda leaf: leaf.to(self.device), self._carried)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor | None:
        """Return the objective; carry the state to the next batch where the topology does."""
        objective, measured = self.objective(batch, self._state_before(batch_idx))
        self._carry(measured)
        self.log_dict(self.reported("train", measured.means))
        self.log("loss", measured.means["loss"], prog_bar=True, logger=False)
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
            checkpoint["carried_state"] = torch.utils._pytree.tree_leaves(self._carried)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Take the carried state up again."""
        leaves = checkpoint.get("carried_state")
        if leaves is not None:
            _, structure = torch.utils._pytree.tree_flatten(self.core.initial_state(len(leaves[0])))
            self._carried = torch.utils._pytree.tree_unflatten(leaves, structure)

    def _state_before(self, batch_idx: int) -> CoreState | None:
        return self._carried if self.carries_state and batch_idx else None

    def _carry(self, measured: Measured) -> None:
        if self.carries_state:
            self._carried = torch.utils._pytree.tree_map(torch.detach, measured.state)

    def _accumulate(self, batch: Batch, batch_idx: int) -> None:
        measured = self.measure(batch, self._state_before(batch_idx))
        self._carry(measured)
        self._epoch.add(measured.means, measured.targets)

    def _log_epoch_means(self, stage: str) -> None:
        epoch, self._epoch = self._epoch, EpochMeans()
        if not epoch.totals:
            return
        reduce = self.trainer.strategy.reduce
        epoch.totals = {name: reduce(total, reduce_op="sum") for name, total in epoch.totals.items()}
        epoch.targets = reduce(epoch.targets, reduce_op="sum")
        self.log_dict(self.reported(stage, epoch.means()), prog_bar=stage == "val")


def log_every(trainer: L.Trainer) -> int:
    """Return after how many steps the trainer logs."""
    return trainer.log_every_n_steps  # type: ignore[attr-defined]


def _norm(parameters: list[nn.Parameter]) -> Tensor:
    return torch.nn.utils.get_total_norm([p.grad for p in parameters if p.grad is not None])
