"""The embedded Reber grammar."""

from typing import Any

import torch
from torch import Tensor

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task

SYMBOLS = "BTPSXVE"
"""Token i, and bit i of the targets, is symbol i."""

INNER = ({"T": 1, "P": 2}, {"S": 1, "X": 3}, {"T": 2, "V": 4}, {"X": 2, "S": 5}, {"P": 3, "V": 5}, {"E": 6})
"""Reber's automaton: where each symbol leads from each of its nodes, after its B."""

SHORTEST = 9
"""Symbols of BTBTXSETE."""


def _embedded() -> list[dict[str, int]]:
    """Return the nodes of B T r T E and B P r P E, r a string of `INNER`, from the first B to the last E."""
    nodes: list[dict[str, int]] = [{"T": 1, "P": 9}]
    for outer in "TP":
        base = len(nodes) + 1
        nodes.append({"B": base})
        nodes += [{symbol: base + node for symbol, node in edges.items()} for edges in INNER]
        nodes.append({outer: 17})
    return [*nodes, {"E": 17}]


NODES = _embedded()
"""Where each symbol leads from each node of the embedded grammar."""

LAST = len(NODES) - 1

EDGES = torch.tensor(
    [[(SYMBOLS.index(symbol), node) for symbol, node in (*of.items(), *of.items())[:2]] for of in NODES]
)
"""Symbol and next node of the two edges of each node, the same one twice where there is one."""

SETS = torch.tensor([[int(symbol in of) for symbol in SYMBOLS] for of in NODES])
"""The symbols that may come next at each node, as bits."""


class EmbeddedReber(GeneratedData):
    """Embedded Reber grammar: which symbols may come next, for memory of one symbol over a whole string.

    A string is B T r T E or B P r P E with r a string of Reber's grammar (BTXSE, BPVPXTVVE, …); where two
    symbols may follow they are equally likely. The target of each step is the set of symbols that may come
    next, of 7 bits. All but one step can be told from the last few symbols; the T or P before the last E
    only from the second symbol. A net that has forgotten it gets half of the strings right
    (`sequences_right`) at best, one that knows the current symbol only gets none, and 55 % of the steps.

    Batch: inputs (batch, time) int64, padded with 0; targets (batch, time, 7) int64, padded with IGNORED;
    lengths (batch,) int64, from 8 to max_length - 1: the last symbol, E, has nothing to predict.

    Source: Fahlman 1991; Hochreiter & Schmidhuber 1997, section 5.1. There training shows the next symbol
    alone and only the test asks for the set.

    Args:
        max_length: symbols of the longest strings; longer ones are drawn again.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, max_length: int = 50, **generated: Any) -> None:
        super().__init__(**generated)
        self.max_length = self._at_least(SHORTEST, max_length=max_length)

    @property
    def task(self) -> Task:
        """Seven tokens in, a set of them out at each step."""
        return Task("tokens", len(SYMBOLS), "bits", len(SYMBOLS), "step", labels=tuple(SYMBOLS))

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` strings."""
        walks: list[Tensor] = []
        while sum(map(len, walks)) < size:
            drawn = self._walks(size, generator)
            walks.append(drawn[drawn[:, -1, 1] == LAST])
        symbols, nodes = torch.cat(walks)[:size].unbind(2)
        lengths = (nodes != LAST).sum(1) + 1
        steps = int(lengths.max())
        symbols, nodes = symbols[:, :steps], nodes[:, :steps]
        padded = torch.arange(steps) >= lengths.unsqueeze(1)
        targets = SETS[nodes].masked_fill(padded.unsqueeze(2), IGNORED)
        return Batch(symbols.masked_fill(padded, 0), targets, lengths)

    def _walks(self, size: int, generator: torch.Generator) -> Tensor:
        """Return symbol and node behind it at each step of strings, (size, max_length - 1, 2)."""
        choices = torch.randint(2, (size, self.max_length - 2), generator=generator)
        walk = [torch.tensor([[SYMBOLS.index("B"), 0]]).expand(size, -1)]
        for choice in choices.unbind(1):
            walk.append(EDGES[walk[-1][:, 1], choice])
        return torch.stack(walk, 1)
