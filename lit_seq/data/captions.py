"""Captions as targets of their own length."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lit_seq.data.module import Split
from lit_seq.data.picture_column import Film
from lit_seq.data.vocabulary import Unit, Vocabulary
from lit_seq.errors import UserError


class Captions:
    """Captions, numbered.

    Args:
        captioned: what is shown and in words, for each split.
        unit: what a symbol of a caption is.
        vocabulary_size: most symbols to tell apart; None: all of the training captions.
        max_length: most symbols of a training caption, the end token included; longer ones are left out.

    Attributes:
        examples: what is shown and the numbers of its caption with the end token, (symbols,) int64.
        task: what `Task` is to know of them.

    Raises:
        UserError: all training captions are too long.
    """

    def __init__(
        self,
        captioned: Mapping[Split, list[tuple[Film, str]]],
        unit: Unit,
        vocabulary_size: int | None,
        max_length: int | None,
    ) -> None:
        texts = (caption for _, caption in captioned["train"])
        vocabulary = Vocabulary.of(texts, unit, vocabulary_size, end=True)
        self.examples: dict[Split, list[tuple[Film, Tensor]]] = {
            split: [(film, vocabulary.encode(caption)) for film, caption in rows]
            for split, rows in captioned.items()
        }
        if max_length is not None:
            short = [
                (film, caption) for film, caption in self.examples["train"] if len(caption) <= max_length
            ]
            if not short:
                raise UserError(f"no training caption has at most {max_length} symbols, as max_length asks.")
            self.examples["train"] = short
        self.task: dict[str, Any] = {
            "target_size": len(vocabulary),
            "alignment": "own",
            "target_vocabulary": vocabulary.to_dict(),
            "target_length": max(len(caption) for rows in self.examples.values() for _, caption in rows),
        }


def captions_in(cell: Any, place: str) -> list[str]:
    """Return the captions in a cell, which holds a text or a list of them.

    Raises:
        UserError: one of them is empty or no text, or there is none.
    """
    captions = (cell or [None]) if isinstance(cell, list) else [cell]
    for caption in captions:
        if not isinstance(caption, str | None):
            raise UserError(f"{place} holds {caption!r}, which is no text.")
        if not (caption or "").strip():
            raise UserError(f"{place} has an empty caption.")
    return captions
