"""Which implementation each cell takes on the devices at hand."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lit_seq.cells.cell import Cell
from lit_seq.cells.elman import Elman
from lit_seq.cells.gru import GRU
from lit_seq.cells.lstm import LSTM
from lit_seq.scan.choice import Choice, implementation

BATCH = 64
CELLS: dict[str, Callable[[], Cell[Any]]] = {
    "Elman tanh": lambda: Elman(1, 128),
    "Elman relu": lambda: Elman(1, 128, "relu"),
    "LSTM": lambda: LSTM(1, 128),
    "LSTM, hidden 512": lambda: LSTM(1, 512),
    "LSTM with peepholes": lambda: LSTM(1, 128, peepholes=True),
    "GRU": lambda: GRU(1, 128),
}


def overview() -> Iterator[tuple[str, str]]:
    """Yield a cell with a device, and which implementation scans it there alone and in a pack, and why.

    In float32, with 128 hidden units where the name says nothing else and a batch of 64. Compiles the native
    operators if no process has.
    """
    for device in ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]:
        for name, build in CELLS.items():
            cell, inputs = build().to(device), torch.empty(1, BATCH, 1, device=device)
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
