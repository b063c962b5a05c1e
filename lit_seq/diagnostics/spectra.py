"""Eigenvalues and singular values of recurrent matrices."""

from collections.abc import Iterable

import torch
from torch import Tensor

from lit_seq.cells import Cell
from lit_seq.data.batch import Batch
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.diagnostics.drawings import curves
from lit_seq.errors import UserError
from lit_seq.samples import Map, Sample
from lit_seq.topologies import Topology


class Spectra(Diagnostic):
    """Spectral radius and singular values of the recurrent matrices.

    Of h_t = φ(… + U h_{t-1}) with |φ'| ≤ γ gradients vanish if the largest singular value of U is below 1/γ,
    and can explode only if it is above (Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063, section 2.1; there
    by the spectral radius of the linear case). For tanh and ReLU γ is 1, for σ 1/4.

    A matrix of several gates or edges is taken apart into square blocks, in the order in which the cell has
    them. Arrays, for each cell with a `weight_recurrent`, by its name:

        NAME/eigenvalues      of each block, complex, (blocks, hidden)
        NAME/singular_values  of each block, falling, (blocks, hidden)

    Numbers are `diagnostics/spectral_radius` and `diagnostics/singular_value`, the largest of all blocks.

    Costs the two decompositions of each block: at most a training step (benchmarks/diagnostics.py).

    Args:
        every: optimiser steps between two looks.
    """

    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """See the class."""
        blocks = {
            name: recurrent_blocks(cell)
            for name, cell in model.named_modules()
            if isinstance(cell, Cell) and hasattr(cell, "weight_recurrent")
        }
        if not blocks:
            raise UserError(f"Spectra: this {type(model).__name__} has no cell with a recurrent matrix.")
        eigenvalues = {name: torch.linalg.eigvals(of_cell) for name, of_cell in blocks.items()}
        singular = {name: torch.linalg.svdvals(of_cell) for name, of_cell in blocks.items()}
        arrays = {f"{name}/eigenvalues": of_cell for name, of_cell in eigenvalues.items()}
        arrays |= {f"{name}/singular_values": of_cell for name, of_cell in singular.items()}
        numbers = {
            "spectral_radius": max(float(of_cell.abs().max()) for of_cell in eigenvalues.values()),
            "singular_value": max(float(of_cell.max()) for of_cell in singular.values()),
        }
        samples: list[Sample] = [_plane(name, of_cell) for name, of_cell in eigenvalues.items()]
        for name, of_cell in singular.items():
            by_block = {f"U {place}": of_block for place, of_block in enumerate(of_cell, 1)}
            samples += curves(f"singular values of {name}", by_block)
        return Findings(arrays, numbers, samples)


def recurrent_blocks(cell: Cell) -> Tensor:
    """Return the square blocks of a cell's recurrent matrix, (blocks, hidden, hidden)."""
    weight: Tensor = cell.weight_recurrent.detach()  # type: ignore[operator]
    size = cell.hidden_size
    # There are no decompositions in half precision.
    weight = weight.to(torch.promote_types(weight.dtype, torch.float32))
    tiles = weight.unflatten(0, (-1, size)).unflatten(-1, (-1, size))
    return tiles.transpose(1, 2).flatten(0, 1)


def _plane(name: str, eigenvalues: Tensor) -> Map:
    """Draw eigenvalues in the complex plane, with the unit circle."""
    circle = torch.polar(torch.ones(72), torch.linspace(0, 2 * torch.pi, 73)[:-1])
    groups = {"|λ| = 1": circle, **{f"U {place}": of for place, of in enumerate(eigenvalues, 1)}}
    return Map(
        f"eigenvalues of {name} in the complex plane",
        [(point.real, point.imag) for of_group in groups.values() for point in of_group.tolist()],
        [group for group, of_group in groups.items() for _ in of_group],
    )
