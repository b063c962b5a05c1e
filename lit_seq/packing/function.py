"""What a pack maps over its trials: one step of a model, as a function of parameters, buffers and batch."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import lightning as L
import torch
from lightning.pytorch.utilities.data import extract_batch_size
from torch import Tensor, nn

from lit_seq.topologies import Topology


class Unpackable(Exception):
    """These trials cannot be stacked; the message says why."""


class DifferentShapes(Unpackable):
    """A parameter or buffer has not the same shape in all trials."""


def check_hooks(one: Any, names: Iterable[str], *bases: type) -> None:
    """Refuse a model or data that does in a hook what a pack would not do.

    Args:
        one: the model or data.
        names: the hooks.
        bases: classes whose hooks do nothing that a pack does not.

    Raises:
        Unpackable: it overrides one of them.
    """
    for name in names:
        if getattr(type(one), name, None) not in [getattr(base, name, None) for base in bases]:
            raise Unpackable(f"{type(one).__name__} overrides {name}")


class Step(NamedTuple):
    """What one batch says of a model.

    Attributes:
        loss: what is differentiated, a scalar.
        means: metric to its mean over the batch.
        weight: what a mean over several batches weights this one by.
        state: what the next batch goes on from; empty where batches are independent.
        answers: what the model answered to a held-out batch, for `Topology.rows`.
    """

    loss: Tensor
    means: dict[str, Tensor]
    weight: Tensor
    state: Any
    answers: Any = ()


class OfTopology(nn.Module):
    """`Topology.measure` as the forward that `torch.func.functional_call` calls.

    Args:
        model: the topology.
    """

    def __init__(self, model: Topology) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Any, state: Any, batch_idx: int) -> Step:
        """Measure a batch; in training the loss is the topology's objective."""
        if self.training:
            loss, measured = self.model.objective(batch, state)
            return Step(loss, measured.means, measured.targets, measured.state)
        measured = self.model.measure(batch, state)
        return Step(measured.means["loss"], *measured)

    def metrics(self, stage: str, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the topology logs, by the names under which it does."""
        return self.model.reported(stage, means)


class OfLightningModule(nn.Module):
    """`training_step` and `validation_step` of any other module, with `self.log` caught.

    Args:
        model: the module; see `lit_seq.packing.stacked` for what it must keep to.
    """

    def __init__(self, model: L.LightningModule) -> None:
        super().__init__()
        self.model = model
        self._logged: dict[str, Tensor] = {}
        self._size: int | None = None
        for name, caught in (("log", self._log), ("log_dict", self._log_dict)):
            object.__setattr__(model, name, caught)

    def forward(self, batch: Any, state: Any, batch_idx: int) -> Step:
        """Run the step of training or validation."""
        self._logged, self._size = {}, None
        step = self.model.training_step if self.training else self.model.validation_step
        result: Any = step(batch, batch_idx)
        loss = result["loss"] if isinstance(result, dict) else result
        if loss is None and self.training:
            raise Unpackable("training_step returns no loss")
        size = self._size or extract_batch_size(batch)
        return Step(torch.zeros(()) if loss is None else loss, self._logged, torch.tensor(size), ())

    def metrics(self, stage: str, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return what the module logged, by its own names."""
        return means

    def _log(self, name: str, value: Any, **options: Any) -> None:
        if self.training and options.get("on_epoch"):
            raise Unpackable(f"training_step logs {name!r} with on_epoch=True")
        if not isinstance(value, Tensor | int | float):
            raise Unpackable(f"{name!r} is logged as a {type(value).__name__}, not as a number")
        if options.get("logger", True):
            self._logged[name] = torch.as_tensor(value).detach()
        self._size = options.get("batch_size") or self._size

    def _log_dict(self, values: dict[str, Any], **options: Any) -> None:
        for name, value in values.items():
            self._log(name, value, **options)
