"""Which gates are open, shut, or neither."""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lit_seq.cells import (
    GRU,
    LSTM,
    BatchNormLSTM,
    Elman,
    LayerNormElman,
    LayerNormLSTM,
    Leaky,
    MinGRU,
    Skip,
)
from lit_seq.data.batch import Batch
from lit_seq.diagnostics.diagnostic import Diagnostic, Findings
from lit_seq.diagnostics.scans import Scan, scans
from lit_seq.errors import UserError
from lit_seq.samples import Matrix
from lit_seq.topologies import Topology

LOW, HIGH = 0.1, 0.9
"""Shares of a function's range beyond which it is saturated: of σ's 0 … 1, or of tanh's -1 … 1."""

_OF_LSTM = ("f", "i", "g", "o", "tanh c")
NAMES: dict[Callable[..., Any], tuple[str, ...]] = {
    BatchNormLSTM.step: _OF_LSTM,
    Elman.step: ("h",),
    GRU.step: ("r", "n", "z"),
    LayerNormElman.step: ("h",),
    LayerNormLSTM.step: _OF_LSTM,
    Leaky.step: ("h",),
    LSTM.step: _OF_LSTM,
    MinGRU.step: ("z",),
    Skip.step: ("h",),
}
"""What a step computes by σ or tanh, in the order in which it does; of other rules it is numbered."""


class GateSaturation(Diagnostic):
    """The share of time that each gate is saturated, and so hands no gradient on.

    A gate σ(·) is shut below .1 and open above .9 (Karpathy, Johnson & Li 2015, arXiv:1506.02078, section
    4.2, left- and right-saturated); a tanh is counted by the same shares of its own range, below -.8 and
    above .8. A forget gate that is always open is a perfect memory; an Elman unit that is always saturated
    has no gradient.

    Arrays, for each cell that is scanned once and each of its gates, by their names:

        NAME/GATE/low   share of steps and sequences where a unit is below, (hidden,)
        NAME/GATE/high  where it is above, (hidden,)

    The numbers `diagnostics/saturated/GATE` are the share of units, steps and sequences that are either,
    averaged over cells.

    Costs one pass over the sequences in the plain loop and one step for all of time at once: 1 to 3 training
    steps of batch 64 on a CPU (benchmarks/diagnostics.py), in a pack for each trial.

    Args:
        every: optimiser steps between two looks.
        sequences: how many are looked at.

    Raises:
        UserError: an option is below 1.
    """

    def __init__(self, every: int = 500, sequences: int = 8) -> None:
        super().__init__(every)
        if sequences < 1:
            raise UserError(f"GateSaturation: sequences is {sequences}; it must be at least 1.")
        self.sequences = sequences

    def find(self, model: Topology, batches: Iterable[Batch]) -> Findings:
        """See the class."""
        arrays: dict[str, Tensor] = {}
        by_gate: dict[str, list[Tensor]] = {}
        samples = []
        for name, scan in scans(model, batches, self.sequences).items():
            shares = {gate: saturated(values) for gate, values in gates(scan).items()}
            for gate, (low, high) in shares.items():
                arrays |= {f"{name}/{gate}/low": low, f"{name}/{gate}/high": high}
                by_gate.setdefault(gate, []).append((low + high).mean())
            table = [[float(low.mean()), float(high.mean())] for low, high in shares.values()]
            title = f"share of time that gates of {name} are saturated"
            samples.append(Matrix(title, list(shares), [f"below {LOW}", f"above {HIGH}"], table))
        if not arrays:
            raise UserError(f"GateSaturation: this {type(model).__name__} has no cell with a σ or a tanh.")
        numbers = {f"saturated/{gate}": float(torch.stack(of).mean()) for gate, of in by_gate.items()}
        return Findings(arrays, numbers, samples)


def gates(scan: Scan) -> dict[str, Tensor]:
    """Return what a scan's steps compute by σ or tanh, by name, as shares of the range, (steps, hidden).

    Padding is left out.
    """
    inputs = scan.scanned.inputs.flatten(0, 1)
    states = type(scan.scanned.states)(*(part.flatten(0, 1) for part in scan.scanned.states))
    with torch.no_grad(), _Listening() as listening:
        scan.cell.step(scan.cell.project(inputs), states)
    # What is no function of a state, such as a learned leak rate, has no row for each of them.
    shares = [share for share in listening.shares if share.shape[:-1] == (len(inputs),)]
    names = NAMES.get(getattr(scan.cell.step, "__func__", None), ())  # type: ignore[arg-type]
    if getattr(scan.cell, "coupled", False):
        names = tuple(name for name in names if name != "i")
    if len(names) != len(shares):
        names = tuple(str(place) for place in range(1, len(shares) + 1))
    valid = scan.valid.flatten()
    return {name: share[valid] for name, share in zip(names, shares, strict=True)}


def saturated(shares: Tensor) -> tuple[Tensor, Tensor]:
    """Return how often each unit is low and high, (hidden,), of its values (steps, hidden)."""
    return (shares < LOW).double().mean(0), (shares > HIGH).double().mean(0)


class _Listening(TorchFunctionMode):
    """Keeps the results of σ and tanh, as shares of their range."""

    def __init__(self) -> None:
        super().__init__()
        self.shares: list[Tensor] = []

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if function in (torch.sigmoid, Tensor.sigmoid):
            self.shares.append(result)
        elif function in (torch.tanh, Tensor.tanh):
            self.shares.append((result + 1) / 2)
        return result
