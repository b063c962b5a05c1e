"""Pictures in a column of a data set, as they are stored and as tensors."""

import io
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from lit_seq.data.source import Source
from lit_seq.errors import UserError


class Stored(NamedTuple):
    """A picture as it is stored.

    Attributes:
        content: of its file, where that is at hand.
        name: of its file, where it has one.
    """

    content: bytes | None
    name: str | None

    @classmethod
    def of(cls, cell: Any) -> "Stored":
        """Return what is in a cell: bytes, the name of a file, a dictionary of both, or None."""
        if isinstance(cell, dict):
            return cls(cell["bytes"], cell["path"])
        return cls(cell, None) if isinstance(cell, bytes) else cls(None, cell)


class PictureColumn:
    """A column of pictures, or of lists of pictures, which stay as they are stored: nothing is decoded.

    Takes what `datasets` knows as images, and the bytes or names of image files.

    Args:
        source: where the data is from.
        rows: the loaded data set.
        name: the column.

    Attributes:
        listed: whether a row holds a list of pictures.
        counts: pictures of each row.

    Raises:
        UserError: there is no such column, it holds something else, or a list in it is empty.
    """

    def __init__(self, source: Source, rows: Any, name: str) -> None:
        import datasets

        if name not in rows.column_names:
            raise UserError(f"{source} has no column {name}; its columns are {', '.join(rows.column_names)}.")
        self.source, self.name = source, name
        feature = rows.features[name]
        self.listed = isinstance(feature, datasets.List | datasets.LargeList)
        one = feature.feature if self.listed else feature
        if not isinstance(one, datasets.Image) and getattr(one, "dtype", None) not in _STORED:
            held = f"lists of {_kind(one)}" if self.listed else _kind(one)
            raise UserError(
                f"column {name} of {source} holds {held}; pictures are images, or the bytes or names of image"
                " files."
            )
        # As they are in memory, past the decoding of rows.
        self._rows = rows.select_columns([name]).with_format("arrow")
        self.counts = [1] * len(rows)
        if self.listed:
            parts = self._rows[:][name].chunks
            self.counts = [count or 0 for part in parts for count in part.value_lengths().to_pylist()]
        if 0 in self.counts:
            raise UserError(f"{self.place(self.counts.index(0))} has no frames.")

    def __getitem__(self, row: int) -> list[Stored]:
        """Return the pictures in a row."""
        cell = self._rows[row : row + 1][self.name][0].as_py()
        return [Stored.of(one) for one in (cell if self.listed else [cell])]

    def place(self, row: int) -> str:
        """Return where a row is, in words."""
        return f"row {row} (counted from 0) of column {self.name} of {self.source}"


class Decoder:
    """Stored pictures as tensors of one size.

    Args:
        channels: 1 for grey, 3 for red, green and blue.
        size: height and width to which pictures are scaled; None: that of the first picture, which all must
            have.
    """

    def __init__(self, channels: int, size: tuple[int, int] | None) -> None:
        self.channels, self.size = channels, size
        self._scales = size is not None

    def __call__(self, stored: Stored, place: str) -> Tensor:
        """Return a picture, (channels, height, width) uint8.

        Args:
            stored: the picture.
            place: where it was found, in words.

        Raises:
            UserError: it is missing, cannot be decoded or has another size than the first one.
        """
        from PIL import Image

        if stored.name is not None:
            place += f", {stored.name},"
        opened = stored.name if stored.content is None else io.BytesIO(stored.content)
        if opened is None:
            raise UserError(f"{place} has no picture.")
        try:
            with Image.open(opened) as file:
                picture = file.convert("L" if self.channels == 1 else "RGB")
        except Exception as error:  # of any kind: Pillow's many formats have no common base for broken files
            raise UserError(f"{place} holds no picture that can be read: {_reason(error)}.") from error
        size = picture.height, picture.width
        self.size = self.size or size
        if size != self.size:
            if not self._scales:
                raise UserError(
                    f"{place} holds a picture of {size[0]}×{size[1]} pixels (height × width), and the first"
                    f" one has {self.size[0]}×{self.size[1]}; set image_size to scale all to one size."
                )
            # Pillow takes the width first, and averages over what a pixel covers.
            picture = picture.resize(self.size[::-1], Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.array(picture)).view(*self.size, self.channels)
        return pixels.movedim(-1, 0).contiguous()


class Film(NamedTuple):
    """The pictures in some rows of a column, in their order.

    Attributes:
        column: where they are.
        rows: the rows.
        frames: which of the pictures of each row.
    """

    column: PictureColumn
    rows: Sequence[int]
    frames: slice = slice(None)

    @property
    def steps(self) -> int:
        """How many pictures there are."""
        return sum(len(range(self.column.counts[row])[self.frames]) for row in self.rows)

    def decoded(self, decoder: Decoder) -> Tensor:
        """Return the pictures, (frames, channels, height, width) uint8.

        Raises:
            UserError: one cannot be decoded.
        """
        return torch.stack(
            [
                decoder(stored, self.column.place(row))
                for row in self.rows
                for stored in self.column[row][self.frames]
            ]
        )


_STORED = ("string", "large_string", "binary", "large_binary")


def _kind(feature: Any) -> str:
    return str(getattr(feature, "dtype", feature))


def _reason(error: Exception) -> str:
    from PIL import UnidentifiedImageError

    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, UnidentifiedImageError):
        return "its format is unknown"
    return str(error).strip().split("\n")[0].rstrip(".") or type(error).__name__
