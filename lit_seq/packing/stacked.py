"""Many trials of one model as one: `torch.func.stack_module_state` and `functional_call` under `vmap`."""

import copy
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.func import functional_call, stack_module_state, vmap

from lit_seq.data.batch import Batch
from lit_seq.topologies import Measured, Topology


class Unpackable(Exception):
    """These trials cannot be stacked; the message says why."""


class StackedTopology(nn.Module):
    """Trials of one topology whose parameters and buffers are stacked, each (trials, …).

    Args:
        models: the trials, each built alone from its own seed.

    Raises:
        Unpackable: the trials are not the same function of their parameters and buffers.
    """

    def __init__(self, models: Sequence[Topology]) -> None:
        super().__init__()
        _check_alike(models)
        parameters, buffers = stack_module_state(list(models))
        self._names, self._buffer_names = list(parameters), list(buffers)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach().clone()) for value in parameters.values())
        self._buffers_of = [f"buffer_{index}" for index in range(len(buffers))]
        for name, value in zip(self._buffers_of, buffers.values(), strict=True):
            self.register_buffer(name, value)
        # Kept from nn.Module's registration: it is the function, not a holder of parameters.
        object.__setattr__(self, "template", copy.deepcopy(models[0]))
        object.__setattr__(self, "_measure", _Measure(self.template))

    template: Topology
    _measure: "_Measure"

    @property
    def names(self) -> tuple[list[str], list[str]]:
        """Names of the parameters and of the buffers, in the order of the stack."""
        return self._names, self._buffer_names

    @property
    def trials(self) -> int:
        """How many trials are stacked."""
        return len(self.stacked[0])

    def measure(self, batch: Batch, shared: bool, state: Any = None) -> Measured:
        """Return what each trial's `measure` gives, with a leading trial dimension.

        Args:
            batch: one batch for all trials, or one for each with a leading trial dimension.
            shared: whether it is one for all.
            state: stacked state to go on from, or None.
        """
        values = dict(zip(self._names, self.stacked, strict=True))
        values |= dict(
            zip(self._buffer_names, (getattr(self, name) for name in self._buffers_of), strict=True)
        )
        values = {f"model.{name}": value for name, value in values.items()}

        def one(values: dict[str, Tensor], batch: Batch, state: Any) -> tuple[dict[str, Tensor], Tensor, Any]:
            return tuple(functional_call(self._measure, values, (batch, state)))

        of_batch = None if shared else Batch(*(None if field is None else 0 for field in batch))  # type: ignore[arg-type]
        in_dims = (0, of_batch, None if state is None else 0)
        return Measured(*vmap(one, in_dims=in_dims, randomness="error")(values, batch, state))

    def unstack(self, trial: int) -> dict[str, Tensor]:
        """Return the `state_dict` of one trial's model."""
        return {name: value[trial].detach() for name, value in self._named()}

    def restack(self, states: Sequence[dict[str, Tensor]]) -> None:
        """Take all trials' `state_dict`s."""
        with torch.no_grad():
            for name, value in self._named():
                value.copy_(torch.stack([state[name] for state in states]))

    def keep(self, rows: Sequence[int]) -> None:
        """Go on with some trials only."""
        index = torch.tensor(rows, device=self.stacked[0].device)
        self.stacked = nn.ParameterList(nn.Parameter(value.detach()[index]) for value in self.stacked)
        for name in self._buffers_of:
            setattr(self, name, getattr(self, name)[index])

    def solo(self, trial: int) -> Topology:
        """Return one trial as an ordinary topology on the CPU, for what runs one at a time."""
        self.template.load_state_dict(self.unstack(trial))
        return self.template

    def _named(self) -> list[tuple[str, Tensor]]:
        buffers = [getattr(self, name) for name in self._buffers_of]
        pairs = [*zip(self._names, self.stacked, strict=True), *zip(self._buffer_names, buffers, strict=True)]
        return pairs


class _Measure(nn.Module):
    """`measure` as the forward that `functional_call` calls."""

    def __init__(self, model: Topology) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, state: Any) -> Measured:
        return self.model.measure(batch, state)


def _check_alike(models: Sequence[L.LightningModule]) -> None:
    first = models[0]
    if not isinstance(first, Topology):
        raise Unpackable(f"{type(first).__name__} is not a lit_seq.topologies.Topology")
    for name, module in first.named_modules():
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0:
            raise Unpackable(f"{name} draws random numbers in training (p = {module.p})")
        if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
            raise Unpackable(f"{name} changes its buffers in training")
    for other in models[1:]:
        if type(other) is not type(first):
            raise Unpackable(f"the models are a {type(first).__name__} and a {type(other).__name__}")
        for (name, one), two in zip(_tensors(first).items(), _tensors(other).values(), strict=False):
            if one.shape != two.shape or one.dtype != two.dtype:
                raise Unpackable(f"{name} is {list(one.shape)} in one trial and {list(two.shape)} in another")
        if list(_tensors(first)) != list(_tensors(other)):
            raise Unpackable("the models have different parameters")


def _tensors(model: nn.Module) -> dict[str, Tensor]:
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}
