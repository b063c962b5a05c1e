"""Layers of recurrent cells."""

from collections.abc import Callable
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from lit_seq.cells import LSTM, Cell
from lit_seq.cores.core import Core, CoreState
from lit_seq.scan import scan


class Stack(Core):
    """Layers of one kind of cell, each scanned along time: the deep recurrent network.

    Layer l reads the outputs of layer l-1: h_t^l = f(h_{t-1}^l, h_t^{l-1}) (Graves, Mohamed and Hinton
    2013, eq. 11). A bidirectional layer concatenates a scan from the front and one from the back of each
    sequence (Schuster and Paliwal 1997; Graves et al. 2013, eqs. 8–10).

    Args:
        input_size: features of an input.
        cell: update rule of all layers.
        hidden_size: features of each layer's hidden state, in each direction.
        layers: number of layers.
        bidirectional: scan each layer in both directions; its output has 2·hidden_size features.
        dropout: probability of zeroing a feature between layers.
        learned_initial_state: train the state before the first step instead of starting at zero.
    """

    values: ClassVar[tuple[str, ...]] = ("dropout",)

    def __init__(
        self,
        input_size: int,
        cell: Callable[[int, int], Cell] = LSTM,
        hidden_size: int = 128,
        layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        learned_initial_state: bool = False,
    ) -> None:
        super().__init__(input_size)
        if layers < 1:
            raise ValueError(f"Stack: layers is {layers}; it must be at least 1.")
        if not 0.0 <= dropout < 1.0:
            raise ValueError(f"Stack: dropout is {dropout}; it must be at least 0 and below 1.")
        directions = 2 if bidirectional else 1
        self.causal = not bidirectional
        self.output_size = directions * hidden_size
        sizes = [input_size] + [self.output_size] * (layers - 1)
        grid = [[cell(size, hidden_size) for _ in range(directions)] for size in sizes]
        self.layers = nn.ModuleList(nn.ModuleList(layer) for layer in grid)
        self.dropout = nn.Dropout(dropout)
        self.initial = (
            nn.ParameterList(
                torch.zeros(hidden_size) for layer in grid for one in layer for _ in one.state_type._fields
            )
            if learned_initial_state
            else None
        )

    def initial_state(self, batch: int) -> CoreState:
        """Return a cell state for each layer and direction: zero, or the learned one."""
        if self.initial is None:
            return tuple(tuple(cell.initial_state(batch) for cell in layer) for layer in self._grid())
        learned = iter(self.initial)
        return tuple(
            tuple(
                cell.state_type(*(next(learned).expand(batch, -1) for _ in cell.state_type._fields))
                for cell in layer
            )
            for layer in self._grid()
        )

    def forward(
        self, inputs: Tensor, state: CoreState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CoreState]:
        """See `Core.forward`; the state is a cell state for each layer and direction."""
        state = self.initial_state(inputs.shape[1]) if state is None else state
        final = []
        for index, (layer, starts) in enumerate(zip(self._grid(), state, strict=True)):
            if index:
                inputs = self.dropout(inputs)
            scans = [
                scan(cell, inputs, start, lengths=lengths, reverse=direction == 1)
                for direction, (cell, start) in enumerate(zip(layer, starts, strict=True))
            ]
            inputs = torch.cat([outputs for outputs, _ in scans], dim=-1) if len(scans) > 1 else scans[0][0]
            final.append(tuple(end for _, end in scans))
        return inputs, tuple(final)

    def summary(self, state: CoreState) -> Tensor:
        """Return the top layer's last outputs, of both directions, (batch, output)."""
        return torch.cat(
            [cell.output(end) for cell, end in zip(self._grid()[-1], state[-1], strict=True)], dim=-1
        )

    def _grid(self) -> list[list[Cell[Any]]]:
        """Return the cells of each layer, by direction."""
        return [list(cast(nn.ModuleList, layer)) for layer in self.layers]  # type: ignore[arg-type]
