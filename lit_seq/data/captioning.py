"""Pictures with captions."""

from typing import Any

from lit_seq.data.captions import Captions, captions_in
from lit_seq.data.module import Split
from lit_seq.data.picture_column import Film, PictureColumn
from lit_seq.data.picture_data import PictureData, Targets
from lit_seq.data.vocabulary import Unit


class Captioning(PictureData):
    """Images to describe in words, from files or the Hugging Face hub.

    Where a row has a list of captions, each of them makes an example of its own, and all of an image are in
    the same split. An empty caption is refused. Symbols that training did not see are unknown.

    Batch: inputs (batch, channels, height, width) float32; targets (batch, longest) int64 with the end token
    behind each, padded with `IGNORED`.

    Args:
        caption_column: column that holds a caption or a list of captions.
        unit: what a symbol of a caption is.
        vocabulary_size: most symbols to tell apart, the unknown one and the end token included.
        max_length: most symbols of a training caption, the end token included; longer ones are left out.
        pictures: the arguments of `PictureData`.
    """

    def __init__(
        self,
        caption_column: str = "caption",
        unit: Unit = "word",
        vocabulary_size: int | None = None,
        max_length: int | None = None,
        **pictures: Any,
    ) -> None:
        super().__init__(**pictures)
        self.caption_column, self.unit = caption_column, unit
        self.vocabulary_size = (
            None if vocabulary_size is None else self._at_least(3, vocabulary_size=vocabulary_size)
        )
        self.max_length = None if max_length is None else self._at_least(2, max_length=max_length)

    def read(self, rows: Any, pictures: PictureColumn) -> list[tuple[Film, list[str]]]:
        """Return each picture with its captions."""
        where = f"of column {self.caption_column} of {self.source}"
        return [
            (Film(pictures, [row]), captions_in(cell, f"row {row} (counted from 0) {where}"))
            for row, cell in enumerate(self.source.column(rows, self.caption_column))
        ]

    def targets(self, examples: dict[Split, list[tuple[Film, list[str]]]], features: Any) -> Targets:
        """Return each caption as numbers."""
        single = {
            split: [(film, caption) for film, captions in rows for caption in captions]
            for split, rows in examples.items()
        }
        captions = Captions(single, self.unit, self.vocabulary_size, self.max_length)
        return Targets(captions.task, captions.examples)
