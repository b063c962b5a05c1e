"""A scan as a function of its cell's parameters."""

from typing import Any

from torch import Tensor, nn

from lit_seq.cells import Cell
from lit_seq.scan import scan


class Scanned(nn.Module):
    def __init__(self, cell: Cell[Any]) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, *arguments: Any) -> tuple[Tensor, ...]:
        outputs, final = scan(self.cell, *arguments)
        return outputs, *final
