"""Many trials of one model as one: `torch.func.stack_module_state` and `functional_call` under `vmap`.

Every `lit_seq.topologies.Topology` stacks, and so does any other LightningModule that keeps to this:

- `training_step(batch, batch_idx)` and `validation_step` are functions of parameters, buffers and batch: they
  change nothing on `self`, read no value of a tensor in Python (`.item()`, `if tensor:`), and ask neither for
  `self.trainer` nor for the step.
- They log by `self.log` or `self.log_dict`, in training per step. The names `train/loss` and `val/loss` are
  those by which divergence is noticed.
- Randomness comes from modules such as `torch.nn.Dropout`, of padded sequences from `StepDropout`
  (`lit_seq.cores.dropout`), which draws as it would without the padding of other trials; no module changes
  buffers while it trains, as `torch.nn.BatchNorm1d` does.
- Recurrence comes from `lit_seq.cores` or `lit_seq.scan`: `torch.nn.LSTM`, `GRU` and `RNN` have no rule for
  vmap.
- It overrides no other hook of the training loop, brings no callbacks, and has one optimiser with one
  parameter group. Its LightningDataModule gives loaders, and has neither hooks of the batches' transfer nor a
  state.
- Arguments of its constructor that may differ between stacked trials, because they act through initial
  parameters, buffers, dropout rates or the optimiser alone, are named in a class attribute `values`.

What does not, trains alone, and the log says why.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import lightning as L
import torch
from lightning.pytorch.core.hooks import CheckpointHooks, DataHooks, ModelHooks
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn.modules.dropout import AlphaDropout, FeatureAlphaDropout, _DropoutNd

from lit_seq.packing.batches import PackBatch
from lit_seq.packing.function import (
    DifferentShapes,
    OfLightningModule,
    OfTopology,
    Step,
    Unpackable,
    check_hooks,
)
from lit_seq.packing.randomness import OwnSteps, StackedDropout, Stream
from lit_seq.topologies import Topology

_LOOP = (
    "backward",
    "optimizer_step",
    "optimizer_zero_grad",
    "lr_scheduler_step",
    "configure_gradient_clipping",
    "configure_callbacks",
)


class StackedModel(nn.Module):
    """Trials of one model whose parameters and buffers are stacked, each (trials, …).

    Args:
        models: the trials, each built alone from its own seed.
        streams: each trial's random numbers.

    Raises:
        Unpackable: the trials are not the same function of their parameters and buffers.
    """

    def __init__(self, models: Sequence[L.LightningModule], streams: Sequence[Stream]) -> None:
        super().__init__()
        _check_alike(models)
        parameters, buffers = stack_module_state(list(models))
        self._names, self._buffer_names = list(parameters), list(buffers)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach().clone()) for value in parameters.values())
        self._buffers_of = [f"buffer_{index}" for index in range(len(buffers))]
        self._saved = set(models[0].state_dict())
        for name, own, value in zip(self._buffers_of, buffers, buffers.values(), strict=True):
            self.register_buffer(name, value, persistent=own in self._saved)
        template = copy.deepcopy(models[0])
        self._steps = OwnSteps()
        self._dropouts = _stack_dropouts(template, models, streams, self._steps)
        function = OfTopology(template) if isinstance(template, Topology) else OfLightningModule(template)
        # Kept from nn.Module's registration: they are the function, not holders of parameters.
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "function", function)

    template: L.LightningModule
    function: OfTopology | OfLightningModule

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Names of the parameters and of the buffers, in the order of the stack."""
        return self._names, self._buffer_names

    @property
    def trials(self) -> int:
        """How many trials are stacked."""
        return len(self.stacked[0])

    def measure(self, batch: PackBatch, state: Any = None, batch_idx: int = 0) -> Step:
        """Return what each trial's step gives, with a leading trial dimension.

        Args:
            batch: what the trials see.
            state: stacked state to go on from, or None.
            batch_idx: the batch's place in its epoch.
        """
        self._steps.of = batch.steps
        try:
            return self._map(dict(self._named()), batch.batch, batch.shared, state, batch_idx)
        finally:
            self._steps.of = None

    def _map(self, values: dict[str, Tensor], batch: Any, shared: bool, state: Any, batch_idx: int) -> Step:
        values = {f"model.{name}": value for name, value in values.items()}
        numbers = torch.arange(len(next(iter(values.values()))), device=self.stacked[0].device)
        values |= {f"model.{name}.trial": numbers for name in self._dropouts}

        def one(values: dict[str, Tensor], batch: Any, state: Any) -> tuple[Any, ...]:
            return tuple(functional_call(self.function, values, (batch, state, batch_idx)))

        def of_batch(leaf: Any) -> int | None:
            return None if shared or not isinstance(leaf, Tensor) else 0

        in_dims = (0, torch.utils._pytree.tree_map(of_batch, batch), None if state is None else 0)
        return Step(*vmap(one, in_dims=in_dims, randomness="error")(values, batch, state))

    def at_step(self, step: int) -> None:
        """Say how many steps were trained; see `Topology.scheduled`."""
        if "trained_steps" in self._buffer_names:
            getattr(self, self._buffers_of[self._buffer_names.index("trained_steps")]).fill_(step)

    @property
    def trial_bytes(self) -> int:
        """Size of one trial's parameters."""
        return sum(parameter[0].nbytes for parameter in self.stacked)

    @contextmanager
    def first_alone(self) -> Iterator[Callable[[Any], Tensor]]:
        """Give a function from a batch to the first trial's loss, which leaves no trace in the stack."""
        values = {name: value[:1].detach().clone() for name, value in self._named()}
        for name in self._names:
            values[name].requires_grad_()
        drawn = [dropout.first_alone() for dropout in self._dropouts.values()]
        with ExitStack() as stack:
            for one in drawn:
                stack.enter_context(one)
            yield lambda batch: self._map(values, batch, True, None, 0).loss

    def unstack(self, trial: int) -> dict[str, Tensor]:
        """Return the `state_dict` of one trial's model."""
        return {name: value[trial].detach() for name, value in self._named() if name in self._saved}

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some trials only."""
        index = torch.tensor(rows, device=self.stacked[0].device)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach()[index]) for value in self.stacked)
        for name in self._buffers_of:
            setattr(self, name, getattr(self, name)[index])
        for dropout in self._dropouts.values():
            dropout.keep(rows)

    def solo(self, trial: int) -> L.LightningModule:
        """Return one trial as an ordinary module, for what runs one at a time."""
        self.template.to(self.stacked[0].dtype).load_state_dict(self.unstack(trial))
        return self.template

    def _named(self) -> list[tuple[str, Tensor]]:
        buffers = [getattr(self, name) for name in self._buffers_of]
        return [*zip(self._names, self.stacked, strict=True), *zip(self._buffer_names, buffers, strict=True)]


def _stack_dropouts(
    template: L.LightningModule,
    models: Sequence[L.LightningModule],
    streams: Sequence[Stream],
    steps: OwnSteps,
) -> dict[str, StackedDropout]:
    """Put a `StackedDropout` in the place of each dropout module that draws."""
    stacked = {}
    for name, module in list(template.named_modules()):
        own: list[Any] = [model.get_submodule(name) for model in models]
        if isinstance(module, _DropoutNd) and any(one.p for one in own):
            stacked[name] = StackedDropout([copy.deepcopy(one) for one in own], streams, steps)
            parent, _, attribute = name.rpartition(".")
            setattr(template.get_submodule(parent), attribute, stacked[name])
    return stacked


def _check_alike(models: Sequence[L.LightningModule]) -> None:
    first = models[0]
    if not isinstance(first, Topology):
        _check_hooks(first)
    elif first.alone is not None:
        raise Unpackable(first.alone)
    for name, module in first.named_modules():
        if isinstance(module, AlphaDropout | FeatureAlphaDropout):
            raise Unpackable(f"{name} is a {type(module).__name__}, which is no product with a mask")
        if isinstance(module, nn.RNNBase):
            raise Unpackable(f"{name} is a torch.nn.{type(module).__name__}, which has no rule for vmap")
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            raise Unpackable(f"{name} changes its buffers in training")
    for other in models[1:]:
        if type(other) is not type(first):
            raise Unpackable(f"the models are a {type(first).__name__} and a {type(other).__name__}")
        if list(_tensors(first)) != list(_tensors(other)):
            raise Unpackable("the models have different parameters")
        for (name, one), two in zip(_tensors(first).items(), _tensors(other).values(), strict=True):
            if one.shape != two.shape or one.dtype != two.dtype:
                raise DifferentShapes(
                    f"{name} is {list(one.shape)} in one trial and {list(two.shape)} in another"
                )


def _check_hooks(model: L.LightningModule) -> None:
    """Refuse a module that does in a hook what a pack would not do."""
    if not model.automatic_optimization:
        raise Unpackable(f"{type(model).__name__} optimises by hand")
    for base in (ModelHooks, DataHooks, CheckpointHooks):
        names = [name for name in vars(base) if not name.startswith("_")]
        unused = [name for name in names if name not in ("setup", "configure_model")]
        check_hooks(model, unused, base, L.LightningModule)
    check_hooks(model, _LOOP, L.LightningModule)


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
