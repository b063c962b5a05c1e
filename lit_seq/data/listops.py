"""ListOps."""

from collections.abc import Callable
from random import Random
from statistics import median
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from lit_seq.data.batch import Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task
from lit_seq.data.tree import Tree
from lit_seq.data.vocabulary import UNKNOWN, Vocabulary

OPERATORS: dict[str, Callable[[list[int]], int]] = {
    "[MAX": max,
    "[MIN": min,
    "[MED": lambda values: int(median(values)),
    "[SM": lambda values: sum(values) % 10,
}
"""What is done with digits. Where two of them are in the middle, the median is their mean, rounded down."""

NAMES = tuple(OPERATORS)

SYMBOLS = (UNKNOWN["word"], *map(str, range(10)), *OPERATORS, "]")

NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}

DRAWS = 10_000
"""How often an expression of the right length is drawn before there is none."""


class ListOps(GeneratedData):
    """ListOps: the value of an expression over lists of digits, which is the value of a tree.

    [MAX 2 9 [MIN 4 7 ] 0 ] is 9. The operators are maximum, minimum, median and sum modulo 10, each of two or
    more digits or expressions. The answer is the digit that the whole expression stands for; all digits are
    about as frequent.

    A batch has the expressions as sequences, for any topology, and their trees, in which an operator's
    children are its arguments and the bracket that closes it, for `--model Recursive`.

    An expression is an operator with 2 to `most_arguments` arguments; an argument is an expression with
    probability `nesting`, or else a digit. Those that come out too short or too long are drawn again.

    Batch: inputs (batch, longest) int64, padded with 0; targets (batch,) int64; lengths (batch,) int64; tree.

    Source: Nangia & Bowman 2018, arXiv:1804.06028.

    Args:
        shortest: least steps of an expression, brackets included.
        longest: most steps of an expression.
        most_arguments: most arguments of an operator.
        nesting: probability that an argument is an expression.
        deepest: most operators one inside the other.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(
        self,
        shortest: int = 8,
        longest: int = 50,
        most_arguments: int = 5,
        nesting: float = 0.25,
        deepest: int = 10,
        **generated: Any,
    ) -> None:
        super().__init__(**generated)
        self.shortest = self._at_least(1, shortest=shortest)
        self.longest = self._at_least(max(5, shortest), longest=longest)
        self.most_arguments = self._at_least(2, most_arguments=most_arguments)
        self.deepest = self._at_least(1, deepest=deepest)
        if not 0 <= nesting <= 0.5:
            raise self._wrong(f"nesting is {nesting}; it must be from 0 to 0.5.")
        self.nesting = nesting

    @property
    def task(self) -> Task:
        """Symbols in, one of ten digits out."""
        return Task(
            *("tokens", len(SYMBOLS), "classes", 10, "sequence"),
            vocabulary=Vocabulary("word", SYMBOLS).to_dict(),
            labels=tuple(map(str, range(10))),
            arity=self.most_arguments + 1,
        )

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` expressions."""
        random = Random(int(torch.randint(2**62, (), generator=generator)))
        expressions = [self._expression(random) for _ in range(size)]
        inputs, parents = (
            pad_sequence([torch.tensor(one[part]) for one in expressions], batch_first=True)
            for part in (0, 1)
        )
        lengths = torch.tensor([len(symbols) for symbols, _, _ in expressions])
        values = torch.tensor([value for _, _, value in expressions])
        return Batch(inputs, values, lengths, Tree.of(parents, lengths))

    def _expression(self, random: Random) -> tuple[list[int], list[int], int]:
        """Draw an expression: its symbols' numbers, each one's parent, and its value."""
        for _ in range(DRAWS):
            symbols: list[int] = []
            parents: list[int] = []
            value = self._draw(random, symbols, parents, -1, 1)
            if self.shortest <= len(symbols) <= self.longest:
                return symbols, parents, value
        raise self._wrong(
            f"none of {DRAWS} expressions had {self.shortest} (shortest) to {self.longest} (longest) steps;"
            " allow others."
        )

    def _draw(self, random: Random, symbols: list[int], parents: list[int], parent: int, depth: int) -> int:
        """Append an operator with its arguments and return its value."""
        name, place = random.choice(NAMES), len(symbols)
        symbols.append(NUMBERS[name])
        parents.append(parent)
        arguments = []
        for _ in range(random.randint(2, self.most_arguments)):
            # What is too long already is drawn again: it need not become longer.
            nests = depth < self.deepest and len(symbols) <= self.longest
            if nests and random.random() < self.nesting:
                arguments.append(self._draw(random, symbols, parents, place, depth + 1))
            else:
                arguments.append(random.randrange(10))
                symbols.append(NUMBERS[str(arguments[-1])])
                parents.append(place)
        symbols.append(NUMBERS["]"])
        parents.append(place)
        return OPERATORS[name](arguments)
