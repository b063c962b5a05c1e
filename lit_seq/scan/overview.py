"""Which implementation each cell takes on the devices at hand."""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lit_seq import cells
from lit_seq.cells import GRU, LSTM, Cell, Elman, Leaky
from lit_seq.scan.choice import Choice, implementation

BATCH, HIDDEN = 64, 128
VARIANTS: dict[str, Callable[[int, int], Cell[Any]]] = {
    "Elman, relu from identity": lambda i, h: Elman(i, h, "relu", recurrent_init="identity"),
    "Elman, sigmoid": lambda i, h: Elman(i, h, "sigmoid"),
    "Elman, softsign": lambda i, h: Elman(i, h, "softsign"),
    "LSTM, peepholes": lambda i, h: LSTM(i, h, peepholes=True),
    "LSTM, coupled": lambda i, h: LSTM(i, h, coupled=True),
    "LSTM, coupled, peepholes": lambda i, h: LSTM(i, h, coupled=True, peepholes=True),
    "GRU, reset before": lambda i, h: GRU(i, h, "before"),
    "Leaky, learned": lambda i, h: Leaky(i, h, learned=True),
}
"""Forms of cells that may take other ways than they do by default: (input size, hidden size) ↦ cell."""


def every_cell() -> dict[str, Callable[[int, int], Cell[Any]]]:
    """Return all cells of `lit_seq.cells` by name, each followed by its variants."""
    kinds = [getattr(cells, name) for name in cells.__all__]
    built: dict[str, Callable[[int, int], Cell[Any]]] = {
        kind.__name__: kind for kind in kinds if issubclass(kind, Cell) and not inspect.isabstract(kind)
    }
    return dict(sorted({**built, **VARIANTS}.items()))


def overview() -> Iterator[tuple[str, str]]:
    """Yield a cell with a device, and which implementation scans it there alone and in a pack, and why.

    In float32, with 128 hidden units where the name says nothing else and a batch of 64. Compiles the native
    operators if no process has.
    """
    built = {name: build(1, HIDDEN) for name, build in every_cell().items()}
    built["LSTM, hidden 512"] = LSTM(1, 512)
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name, cell in built.items():
            cell, inputs = cell.to(device), torch.empty(1, BATCH, 1, device=device)
            alone, packed = implementation(cell, inputs), _packed(cell, inputs)
            why = f"{alone.name}: {alone.reason}"
            if packed.run is not alone.run:
                why = f"alone {why}; in a pack {packed.name}: {packed.reason}"
            yield f"{name}, {device}", why


def _packed(cell: Cell[Any], inputs: Tensor) -> Choice:
    found: list[Choice] = []

    def look(x: Tensor) -> Tensor:
        found.append(implementation(cell, x))
        return x

    torch.vmap(look)(inputs.unsqueeze(0))
    return found[0]
