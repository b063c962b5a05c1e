"""What a model's cells go through on a batch, and how its loss depends on their states."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call, grad, vjp
from torch.nn.utils import parametrize

from lit_seq.cells import Cell
from lit_seq.data.batch import Batch
from lit_seq.errors import UserError
from lit_seq.scan.watch import OneStep, Scanned, Unwatchable, Watch, features, watching
from lit_seq.topologies import Topology

Pull = Callable[[Tensor], tuple[dict[str, Tensor], Tensor]]


class Scan(NamedTuple):
    """One scan of a cell.

    h is the whole state that a step hands on, its features side by side: (h, c) of an LSTM, with edges that
    skip steps also the past that is kept; a counter is no part of it.

    Attributes:
        cell: the cell.
        scanned: what it went through, in the order of the scan.
        errors: ∂E/∂h_t, the total derivative of the loss by the state after each step, (time, batch,
            features); zero at padding.
        valid: where a step is none of padding, (time, batch).
    """

    cell: Cell[Any]
    scanned: Scanned
    errors: Tensor
    valid: Tensor

    def pull(self, time: slice = slice(None)) -> Pull:
        """Return the transposed Jacobian of steps, by the cell's parameters and by the state before them.

        Args:
            time: the steps.

        Returns:
            δ ↦ (Σ δᵀ ∂⁺h_t/∂θ for each parameter θ, δᵀ ∂h_t/∂h_{t-1}), with δ and the latter (time, batch,
            features); ∂⁺ is the immediate derivative, for which h_{t-1} is constant.
        """
        inputs = self.scanned.inputs[time].flatten(0, 1)
        states = type(self.scanned.states)(*(part[time].flatten(0, 1) for part in self.scanned.states))
        sizes = [part.shape[-1] for part in features(states)]
        names = dict(self.cell.named_parameters())
        values = {f"cell.{name}": value.detach() for name, value in self.scanned.values.items()}
        parameters = {name: value for name, value in values.items() if name[len("cell.") :] in names}

        def step(parameters: dict[str, Tensor], before: Tensor) -> Tensor:
            given = iter(before.split(sizes, -1))
            state = type(states)(*(next(given) if part.is_floating_point() else part for part in states))
            after = functional_call(OneStep(self.cell), {**values, **parameters}, (inputs, state))
            return torch.cat(features(after), -1)

        with torch.autocast(inputs.device.type, enabled=False), parametrize.cached():
            pull = vjp(step, parameters, torch.cat(features(states), -1))[1]

        def shaped(error: Tensor) -> tuple[dict[str, Tensor], Tensor]:
            by_parameters, by_states = pull(error.flatten(0, 1))
            return by_parameters, by_states.unflatten(0, error.shape[:2])

        return shaped


def scans(model: Topology, batches: Iterable[Batch], sequences: int) -> dict[str, Scan]:
    """Return the scans of a model's cells on the first sequences, by the cells' names, in the plain loop.

    Args:
        model: in evaluation mode.
        batches: whose first is measured.
        sequences: how many of it.

    Raises:
        UserError: there is no batch, or no cell is scanned along several steps exactly once.
    """
    batch = next(iter(batches), None)
    if batch is None:
        raise UserError("Diagnostics look at held-out data, and this data has none.")
    batch = batch.of(slice(0, sequences))
    cells = {name: one for name, one in model.named_modules() if isinstance(one, Cell)}
    along_inputs = (batch.inputs.shape[1], len(batch.inputs))
    found, sizes = _measure(model, batch, cells, dict.fromkeys(cells, along_inputs))
    if other := {name: size for name, size in sizes.items() if size != along_inputs}:
        # What is no scan of the inputs was of a size that is only known now.
        rest, _ = _measure(model, batch, cells, other)
        found |= rest
    if not found:
        raise UserError(
            "Diagnostics are for models that scan their cells along time, each once, as the core Stack does;"
            f" this {type(model).__name__} has no such cell."
        )
    return {name: found[name] for name in cells if name in found}


class _Glance(Watch):
    """A watch that lets pass what it is not made for, and says what came."""

    def __init__(self, cell: Cell[Any], nudges: list[Tensor]) -> None:
        super().__init__(cell, nudges)
        self.sizes: list[tuple[int, int]] = []

    def begin(self, inputs: Tensor) -> Callable[[Any, Any], Any]:
        if len(inputs) == 1:
            # A step at a time, an answer is written that no loss depends on.
            return self._cell.step
        self.sizes.append((inputs.shape[0], inputs.shape[1]))
        try:
            return super().begin(inputs)
        except Unwatchable:
            return self._cell.step


def _measure(
    model: Topology, batch: Batch, cells: dict[str, Cell[Any]], sizes: dict[str, tuple[int, int]]
) -> tuple[dict[str, Scan], dict[str, tuple[int, int]]]:
    """Return the scans that are of the sizes (time, batch) that are expected; and the sizes of all."""
    glances: dict[str, _Glance] = {}

    def loss(nudges: dict[str, list[Tensor]]) -> tuple[Tensor, dict[str, Scanned]]:
        glances.update({name: _Glance(cells[name], of_cell) for name, of_cell in nudges.items()})
        with watching({cells[name]: glance for name, glance in glances.items()}):
            measured = model.measure(batch)
        found = {name: glance.scanned for name, glance in glances.items() if len(glance.sizes) == 1}
        return measured.means["loss"], {name: scanned for name, scanned in found.items() if scanned}

    zeros = {
        name: [part.new_zeros(time, *part.shape) for part in features(cells[name].initial_state(size))]
        for name, (time, size) in sizes.items()
    }
    errors, found = grad(loss, has_aux=True)(zeros)
    scanned = {
        name: Scan(cells[name], _held(one), torch.cat(errors[name], -1).detach(), _valid(one, batch))
        for name, one in found.items()
    }
    return scanned, {name: one.sizes[0] for name, one in glances.items() if len(one.sizes) == 1}


def _held(scanned: Scanned) -> Scanned:
    states = type(scanned.states)(*(part.detach() for part in scanned.states))
    return Scanned(scanned.values, scanned.inputs.detach(), states)


def _valid(scanned: Scanned, batch: Batch) -> Tensor:
    time, size = scanned.inputs.shape[:2]
    steps = torch.arange(time, device=scanned.inputs.device).unsqueeze(1)
    if batch.lengths is None or (time, size) != (batch.inputs.shape[1], len(batch.inputs)):
        return (steps >= 0).expand(time, size)
    return steps < batch.lengths.to(steps.device)
