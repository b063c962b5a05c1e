"""Text to numbers and back."""

import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from lit_seq.data import subwords
from lit_seq.errors import UserError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

Unit = Literal["character", "byte", "word", "phoneme", "subword"]

UNKNOWN = {"character": "\N{REPLACEMENT CHARACTER}", "word": "<unk>", "phoneme": "<unk>"}
"""What stands for symbols that the vocabulary lacks; bytes and subwords are all known."""

END = "<end>"
"""How the end token is shown."""


@dataclass(frozen=True)
class Vocabulary:
    r"""The symbols of a text, numbered.

    A character is a Unicode code point, a byte one of its UTF-8 form. A word is what stands between
    white space, as in corpora that are tokenised already; a line break is a word ("\n") of its own.
    Phonemes are written as words are. A subword is a piece of a word, space before it included, found by
    byte-pair encoding (Sennrich et al. 2016) over bytes (Radford et al. 2019), so that none is unknown.
    Characters, bytes and subwords decode to the very text that was encoded, words and phonemes to that
    text with single spaces.

    Attributes:
        unit: what a symbol is.
        symbols: symbol i has number i. For characters, words and phonemes symbol 0 is `UNKNOWN[unit]` and
            stands for everything else. Empty for bytes, whose number is their value.
        ends: whether there is an end token, behind all symbols: `encode` sets it behind a text, and `decode`
            stops at it.
        merges: pairs of symbols that make subwords, in the order in which they are joined.
    """

    unit: Unit
    symbols: tuple[str, ...] = ()
    ends: bool = False
    merges: tuple[str, ...] = ()

    @classmethod
    def of(cls, texts: Iterable[str], unit: Unit, size: int | None = None, end: bool = False) -> "Vocabulary":
        """Number what occurs in `texts`, the most frequent first.

        Args:
            texts: training texts.
            unit: what a symbol is.
            size: most symbols to keep, the unknown one and the end token included; None: all, of subwords
                `subwords.SIZE`.
            end: whether to have an end token.

        Raises:
            UserError: `size` is too small for subwords.
        """
        kept = None if size is None else size - end
        if unit == "byte":
            return cls(unit, ends=end)
        if unit == "subword":
            if kept is not None and kept < subwords.BYTES:
                raise UserError(
                    f"a vocabulary of {size} is too small for subwords, which need"
                    f" {subwords.BYTES + end} at least: all bytes{' and the end token' if end else ''}."
                )
            symbols, merges = subwords.learn(texts, (subwords.SIZE - end) if kept is None else kept)
            return cls(unit, symbols, end, merges)
        counts: Counter[str] = Counter()
        for text in texts:
            counts.update(split(text, unit))
        counts.pop(UNKNOWN[unit], None)
        frequent = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
        return cls(unit, (UNKNOWN[unit], *frequent[: None if kept is None else kept - 1]), end)

    def __len__(self) -> int:
        return (256 if self.unit == "byte" else len(self.symbols)) + self.ends

    @property
    def end(self) -> int | None:
        """Number of the end token, with which a decoder also starts; None where there is none."""
        return len(self) - 1 if self.ends else None

    def encode(self, text: str) -> Tensor:
        """Return the numbers of the symbols of `text` and of the end token, (symbols,) int64."""
        if self.unit == "byte":
            numbers = np.frombuffer(text.encode("utf-8"), np.uint8)
        elif self.unit == "character":
            code_points = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
            numbers = self._of_code_points[code_points]
        elif self.unit == "subword":
            numbers = np.array(self._tokenizer.encode(text).ids)
        else:
            numbers = np.array([self._numbers.get(symbol, 0) for symbol in split(text, self.unit)])
        numbers = numbers if self.end is None else np.append(numbers, self.end)
        return torch.from_numpy(numbers.astype(np.int64))

    def decode(self, numbers: Tensor | Iterable[int]) -> str:
        """Return the text of `numbers` before the first end token; bytes that are no UTF-8 become U+FFFD."""
        ids = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
        if self.ends:
            ids = list(takewhile(lambda number: number != self.end, ids))
        if self.unit == "byte":
            return bytes(ids).decode("utf-8", "replace")
        if self.unit == "subword":
            return self._tokenizer.decode(ids)
        symbols = [self.symbols[i] for i in ids]
        return "".join(symbols) if self.unit == "character" else re.sub(r" ?\n ?", "\n", " ".join(symbols))

    def pieces(self, numbers: Tensor | Iterable[int]) -> list[str]:
        """Return each of `numbers` by itself as a person reads it, the end token as `END`."""
        ids = numbers.tolist() if isinstance(numbers, Tensor) else list(numbers)
        return [END if number == self.end else self.decode([number]) for number in ids]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `Vocabulary.from_dict` takes."""
        content = asdict(self)
        return {name: content[name] for name in content if name in ("unit", "symbols") or content[name]}

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "Vocabulary":
        """Return the vocabulary that `to_dict` described."""
        lists = {name: tuple(content.get(name, ())) for name in ("symbols", "merges")}
        return cls(content["unit"], ends=content.get("ends", False), **lists)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {symbol: number for number, symbol in enumerate(self.symbols)}

    @cached_property
    def _of_code_points(self) -> np.ndarray:
        numbers = np.zeros(sys.maxunicode + 1, np.int64)
        numbers[[ord(symbol) for symbol in self.symbols]] = range(len(self.symbols))
        return numbers

    @cached_property
    def _tokenizer(self) -> "Tokenizer":
        return subwords.tokenizer(self.symbols, self.merges)


def split(text: str, unit: Unit) -> Sequence[str]:
    """Return the characters, words or phonemes of `text`."""
    return text if unit == "character" else re.findall(r"\n|[^\s]+", text)
