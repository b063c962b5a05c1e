"""Layers of recurrent cells."""

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from lit_seq.cells import LSTM, Cell
from lit_seq.cores.core import Core, CoreState
from lit_seq.cores.dropout import RecurrentDropout, StepDropout, VariationalDropout
from lit_seq.cores.initial_state import trainable, trained
from lit_seq.scan import scan


class Stack(Core):
    """Layers of one kind of cell, each scanned along time: the deep recurrent network.

    Layer l reads what layer l-1 gives: h_t^l = f(h_{t-1}^l, x_t^l) with x_t^0 the input and, by `skips`,

        none:      x_t^{l+1} = h_t^l                         (Graves, Mohamed & Hinton 2013, eq. 11)
        residual:  x_t^{l+1} = x_t^l + h_t^l, from l = 1 on   (Wu et al. 2016, eq. 6)
        dense:     x_t^{l+1} = [x_t^l; h_t^l]                (Huang et al. 2017, eq. 2)

    The output is what a further layer would read, less the input: with dense skips the outputs of all
    layers (as Graves 2013, arXiv:1308.0850, eq. 3).

    A bidirectional layer joins a scan from the front and one from the back of each sequence (Schuster &
    Paliwal 1997; Graves et al. 2013, eqs. 8–10).

    Args:
        input_size: features of an input.
        cell: update rule of all layers.
        hidden_size: features of each layer's hidden state, in each direction.
        layers: number of layers.
        skips: connections round layers.
        bidirectional: scan each layer in both directions.
        merge: how a bidirectional layer joins its directions; concatenated they have 2·hidden_size features.
        dropout: probability of zeroing a feature between layers, at each step anew.
        variational_dropout: probability of zeroing a feature between layers at all steps of a sequence.
        recurrent_dropout: probability that a unit, at all steps, is not seen by the recurrence. See
            `lit_seq.cores.dropout` for both.
        learned_initial_state: train the state before the first step instead of starting at the cell's own.

    Raises:
        ValueError: an option is out of its range, or `cell` has no matrix for `recurrent_dropout`.
    """

    values: ClassVar[tuple[str, ...]] = ("dropout", "variational_dropout", "recurrent_dropout")

    def __init__(
        self,
        input_size: int,
        cell: Callable[[int, int], Cell] = LSTM,
        hidden_size: int = 128,
        layers: int = 1,
        skips: Literal["none", "residual", "dense"] = "none",
        bidirectional: bool = False,
        merge: Literal["concatenate", "sum"] = "concatenate",
        dropout: float = 0.0,
        variational_dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        learned_initial_state: bool = False,
    ) -> None:
        super().__init__(input_size)
        if layers < 1:
            raise ValueError(f"Stack: layers is {layers}; it must be at least 1.")
        _check_rates(
            dropout=dropout, variational_dropout=variational_dropout, recurrent_dropout=recurrent_dropout
        )
        directions = 2 if bidirectional else 1
        width = 2 * hidden_size if bidirectional and merge == "concatenate" else hidden_size
        self.causal = not bidirectional
        self.output_size = layers * width if skips == "dense" else width
        self.skips, self.merge = skips, merge
        sizes = [input_size] + [
            input_size + below * width if skips == "dense" else width for below in range(1, layers)
        ]
        grid = [[cell(size, hidden_size) for _ in range(directions)] for size in sizes]
        self.layers = nn.ModuleList(nn.ModuleList(layer) for layer in grid)
        self.dropout = StepDropout(dropout)
        self.variational_dropout = VariationalDropout(variational_dropout)
        self.recurrent_dropout = RecurrentDropout(recurrent_dropout)
        self.recurrent_dropout.check(grid[0][0])
        self.initial = (
            nn.ParameterList(
                field for layer in grid for one in layer for field in trainable(one.initial_state(1))
            )
            if learned_initial_state
            else None
        )

    def initial_state(self, batch: int) -> CoreState:
        """Return a cell state for each layer and direction: the cell's own, or the learned one."""
        states = tuple(tuple(cell.initial_state(batch) for cell in layer) for layer in self._grid())
        if self.initial is None:
            return states
        learned = iter(self.initial)
        return tuple(tuple(trained(own, learned) for own in layer) for layer in states)

    def forward(
        self, inputs: Tensor, state: CoreState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, CoreState]:
        """See `Core.forward`; the state is a cell state for each layer and direction."""
        state = self.initial_state(inputs.shape[1]) if state is None else state
        final = []
        for index, (layer, starts) in enumerate(zip(self._grid(), state, strict=True)):
            read = self.variational_dropout(self.dropout(inputs)) if index else inputs
            scans = [
                self.recurrent_dropout(scan, cell, read, start, lengths=lengths, reverse=direction == 1)
                for direction, (cell, start) in enumerate(zip(layer, starts, strict=True))
            ]
            outputs = self._merged([outputs for outputs, _ in scans])
            if self.skips == "residual" and index:
                outputs = inputs + outputs
            inputs = torch.cat([inputs, outputs], -1) if self.skips == "dense" else outputs
            final.append(tuple(end for _, end in scans))
        return inputs[..., self.input_size :] if self.skips == "dense" else inputs, tuple(final)

    def summary(self, state: CoreState) -> Tensor:
        """Return the output at the last step, with each direction at the end of its scan, (batch, output)."""
        ends = [
            self._merged([cell.output(end) for cell, end in zip(cells, states, strict=True)])
            for cells, states in zip(self._grid(), state, strict=True)
        ]
        match self.skips:
            case "none":
                return ends[-1]
            case "residual":
                return torch.stack(ends).sum(0)
            case "dense":
                return torch.cat(ends, -1)

    def _merged(self, directions: Sequence[Tensor]) -> Tensor:
        if len(directions) == 1:
            return directions[0]
        return directions[0] + directions[1] if self.merge == "sum" else torch.cat(list(directions), -1)

    def _grid(self) -> list[list[Cell[Any]]]:
        """Return the cells of each layer, by direction."""
        return [list(cast(nn.ModuleList, layer)) for layer in self.layers]  # type: ignore[arg-type]


def _check_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0.0 <= rate < 1.0:
            raise ValueError(f"Stack: {name} is {rate}; it must be at least 0 and below 1.")
