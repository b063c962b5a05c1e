"""Pascanu's regulariser, which keeps the gradient from vanishing on its way through time.

    Ω = Σ_k (‖∂E/∂h_{k+1} ∂h_{k+1}/∂h_k‖ / ‖∂E/∂h_{k+1}‖ - 1)²

with E the loss and ∂E/∂h_{k+1} its total derivative (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, eq. 9).
Its gradient is an immediate partial derivative (eq. 10): ∂E/∂h, all h and the inputs of the cell are held
constant, and what is differentiated is the Jacobian of a step as a function of the cell's parameters.

h is the whole state that a step hands on, its features side by side: (h, c) of an LSTM, with edges that skip
steps also the past that is kept; a counter is no part of it. Ω is a sum over layers and directions and a mean
over sequences; k begins with the state before the first step. Where nothing depends on h_{k+1}, such as in
padding, there is no term. (The authors' program has squared norms, a mean over k, and a gradient for the
recurrent matrix alone.)
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call, grad, vjp
from torch.nn.utils import parametrize
from torch.utils._pytree import tree_map

from lit_seq.cells import Cell
from lit_seq.cells.batch_norm import BatchNorm
from lit_seq.cores import Core
from lit_seq.errors import UserError
from lit_seq.scan.watch import OneStep, Scanned, Unwatchable, Watch, features, watching
from lit_seq.topologies.measured import Measured


def check_omega(omega: float | None, core: Core) -> None:
    """Refuse a coefficient that is not one, and a core that Ω is not for.

    Raises:
        UserError: one of these.
    """
    if omega is None:
        return
    if not 0 <= omega < float("inf"):
        raise UserError(f"omega is {omega}; it must be null, or a number that is at least 0.")
    if any(isinstance(module, BatchNorm) for module in core.modules()):
        raise UserError(
            "omega is about each sequence's own gradient, and batch normalisation mixes those of a batch; it"
            " must be null, or the cell another one."
        )


def measure_with_omega(
    measure: Callable[[], Measured], core: Core, time: int, batch: int
) -> tuple[Measured, Tensor]:
    """Measure a batch and Ω, going along time once, in the plain loop.

    Args:
        measure: measures the batch by means of the core.
        core: whose cells are scanned.
        time: steps of the batch, padding included.
        batch: its sequences.

    Returns:
        What `measure` gives, and Ω, a scalar; the loss and Ω have gradients.

    Raises:
        UserError: the core does not scan its cells along time, each once.
    """
    cells = {str(i): cell for i, cell in enumerate(m for m in core.modules() if isinstance(m, Cell))}
    zeros = {
        name: [part.new_zeros(time, *part.shape) for part in features(cell.initial_state(batch))]
        for name, cell in cells.items()
    }

    def loss(nudges: dict[str, list[Tensor]]) -> tuple[Tensor, tuple[Measured, dict[str, Scanned]]]:
        watches = {name: Watch(cell, nudges[name]) for name, cell in cells.items()}
        with watching({cells[name]: watch for name, watch in watches.items()}):
            measured = measure()
        scans = {name: watch.scanned for name, watch in watches.items()}
        return measured.means["loss"], (measured, {name: scan for name, scan in scans.items() if scan})

    try:
        errors, (measured, scans) = grad(loss, has_aux=True)(zeros)
        errors = tree_map(torch.detach, errors)
    except Unwatchable:
        scans = {}
    if not scans:
        raise UserError(
            "omega is for a core that scans its cells along the sequence, each once, such as Stack;"
            f" {type(core).__name__} does not."
        )
    return measured, torch.stack([_omega(cells[name], scans[name], errors[name]) for name in scans]).sum()


def _omega(cell: Cell[Any], scanned: Scanned, errors: Sequence[Tensor]) -> Tensor:
    """Return Ω of one scan.

    Args:
        cell: the cell.
        scanned: the scan.
        errors: ∂E/∂h after each step, (time, batch, features) for each part.
    """
    values = {f"cell.{name}": value for name, value in scanned.values.items()}
    inputs = scanned.inputs.detach().flatten(0, 1)
    states = type(scanned.states)(*(part.detach().flatten(0, 1) for part in scanned.states))
    parts = features(states)
    error = torch.cat(list(errors), -1).flatten(0, 1)
    # A vanishing gradient squared may no longer be a number above zero.
    largest = error.abs().amax(-1, keepdim=True)
    present = largest > 0
    error = error / torch.where(present, largest, 1.0)
    error = error / torch.where(present, torch.linalg.vector_norm(error, dim=-1, keepdim=True), 1.0)

    def step(*given_parts: Tensor) -> list[Tensor]:
        given = iter(given_parts)
        before = type(states)(*(next(given) if part.is_floating_point() else part for part in states))
        return features(functional_call(OneStep(cell), values, (inputs, before)))

    with torch.autocast(inputs.device.type, enabled=False), parametrize.cached():
        pull = vjp(step, *parts)[1]
        pulled = pull(list(error.split([part.shape[-1] for part in parts], -1)))
    terms = (torch.linalg.vector_norm(torch.cat(pulled, -1), dim=-1, keepdim=True) - 1).square()
    return torch.where(present, terms, 0.0).sum() / scanned.inputs.shape[1]
