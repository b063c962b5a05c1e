"""Text to numbers and back."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

Unit = Literal["character", "byte", "word"]

UNKNOWN = {"character": "\N{REPLACEMENT CHARACTER}", "word": "<unk>"}
"""What stands for characters and words that the vocabulary lacks; bytes are all known."""


@dataclass(frozen=True)
class Vocabulary:
    r"""The symbols of a text, numbered.

    A character is a Unicode code point, a byte one of its UTF-8 form. A word is what stands between
    white space, as in corpora that are tokenised already; a line break is a word ("\n") of its own. So
    characters and bytes decode to the very text that was encoded, words to that text with single spaces.

    Attributes:
        unit: what a symbol is.
        symbols: symbol i has number i. For characters and words symbol 0 is `UNKNOWN[unit]` and stands
            for everything else. Empty for bytes, whose number is their value.
    """

    unit: Unit
    symbols: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str], unit: Unit, size: int | None = None) -> "Vocabulary":
        """Number what occurs in `texts`, the most frequent first.

        Args:
            texts: training texts.
            unit: what a symbol is.
            size: most symbols to keep, the unknown one included; None: all.
        """
        if unit == "byte":
            return cls(unit)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split(text, unit))
        counts.pop(UNKNOWN[unit], None)
        frequent = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
        return cls(unit, (UNKNOWN[unit], *frequent[: None if size is None else size - 1]))

    def __len__(self) -> int:
        return 256 if self.unit == "byte" else len(self.symbols)

    def encode(self, text: str) -> Tensor:
        """Return the numbers of the symbols of `text`, (symbols,) int64."""
        if self.unit == "byte":
            return torch.tensor(list(text.encode("utf-8")), dtype=torch.int64)
        number = self._numbers.get
        return torch.tensor([number(symbol, 0) for symbol in split(text, self.unit)], dtype=torch.int64)

    def decode(self, numbers: Tensor | Iterable[int]) -> str:
        """Return the text of `numbers`; bytes that are no UTF-8 become U+FFFD."""
        ids = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
        if self.unit == "byte":
            return bytes(ids).decode("utf-8", "replace")
        symbols = [self.symbols[i] for i in ids]
        return "".join(symbols) if self.unit == "character" else re.sub(r" ?\n ?", "\n", " ".join(symbols))

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `Vocabulary.from_dict` takes."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Vocabulary":
        """Return the vocabulary that `to_dict` described."""
        return cls(content["unit"], tuple(content["symbols"]))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}


def split(text: str, unit: Unit) -> Sequence[str]:
    """Return the characters or words of `text`."""
    return text if unit == "character" else re.findall(r"\n|[^\s]+", text)
