"""Films with a class, with labels a frame, or with captions."""

import re
from collections import defaultdict
from pathlib import Path
from typing import Any, Literal

import torch

from lit_seq.data.captions import Captions, captions_in
from lit_seq.data.classes import numbered_classes
from lit_seq.data.module import Split
from lit_seq.data.picture_column import Film, PictureColumn
from lit_seq.data.picture_data import PictureData, Targets
from lit_seq.data.vocabulary import Unit


class Video(PictureData):
    """Clips of frames, from files or the Hugging Face hub, with a class, a label a frame or a caption each.

    A clip is one of three:

    - a row whose `image_column` holds a list of images;
    - all rows with the same values in `clip_columns`, a frame a row, in the order of `order_column`;
    - a folder of image files, in the order of their names, where 2 comes before 10; with path imagefolder
      these are train/CLASS/CLIP/FRAME.png, and its class is the folder that it is in, unless `label_column`
      says otherwise.

    Labels may be class labels of `datasets`, integers or strings; a missing one (none, or -1 for a class
    label) has the target `IGNORED`. Files of film (mp4, avi) are to be cut into frames first.

    Batch: inputs (batch, longest, channels, height, width) float32, padded with 0; targets (batch,) int64, or
    (batch, longest) int64 for labels a frame and for captions, which have the end token behind each, padded
    with `IGNORED`; lengths (batch,) int64.

    Args:
        label_column: column that holds the labels; null: label, or the folder that a clip's folder is in.
        caption_column: column that holds a caption or a list of captions, in place of labels.
        labelled: whether a clip has one label or each frame has its own.
        clip_columns: columns that together say to which clip a frame belongs.
        order_column: column by which the frames of a clip are ordered; null: the order of the rows.
        every: use every n-th frame.
        max_frames: most frames of a clip; the rest is cut off.
        unit: what a symbol of a caption is.
        vocabulary_size: most symbols of captions to tell apart, the unknown one and the end token included.
        max_length: most symbols of a training caption, the end token included; longer ones are left out.
        pictures: the arguments of `PictureData`.
    """

    inputs = "frames"

    def __init__(
        self,
        label_column: str | None = None,
        caption_column: str | None = None,
        labelled: Literal["clip", "frame"] = "clip",
        clip_columns: list[str] | None = None,
        order_column: str | None = None,
        every: int = 1,
        max_frames: int | None = None,
        unit: Unit = "word",
        vocabulary_size: int | None = None,
        max_length: int | None = None,
        **pictures: Any,
    ) -> None:
        super().__init__(**pictures)
        if label_column and caption_column:
            raise self._wrong("label_column and caption_column are both given; a clip has one or the other.")
        if labelled not in ("clip", "frame"):
            raise self._wrong(f"labelled is {labelled!r}; it must be 'clip' or 'frame'.")
        self.label_column, self.caption_column = label_column, caption_column
        self.labelled = labelled
        self.clip_columns, self.order_column = clip_columns, order_column
        self._at_least(1, every=every)
        frames = None if max_frames is None else self._at_least(1, max_frames=max_frames) * every
        self.frames = slice(0, frames, every)
        self.unit = unit
        self.vocabulary_size = (
            None if vocabulary_size is None else self._at_least(3, vocabulary_size=vocabulary_size)
        )
        self.max_length = None if max_length is None else self._at_least(2, max_length=max_length)

    def read(self, rows: Any, pictures: PictureColumn) -> list[tuple[Film, Any]]:
        """Return each clip with its label, the labels of its frames, or its captions."""
        if pictures.listed:
            told = self.source.column(rows, self._column)
            return [
                (Film(pictures, [row], self.frames), self._of_row(value, row, pictures))
                for row, value in enumerate(told)
            ]
        clips = self._by_columns(rows) if self.clip_columns else self._by_folder(pictures)
        if self.clip_columns is None and self.label_column is None and self.caption_column is None:
            values = {row: Path(clip).parent.name for clip, of_clip in clips.items() for row in of_clip}
        else:
            values = dict(enumerate(self.source.column(rows, self._column)))
        return [
            (Film(pictures, of_clip[self.frames]), self._of_clip([values[row] for row in of_clip], clip))
            for clip, of_clip in clips.items()
        ]

    def targets(self, examples: dict[Split, list[tuple[Film, Any]]], features: Any) -> Targets:
        """Return labels or captions as numbers."""
        if self.caption_column is not None:
            single = {
                split: [(film, caption) for film, captions in clips for caption in captions]
                for split, clips in examples.items()
            }
            captions = Captions(single, self.unit, self.vocabulary_size, self.max_length)
            return Targets(captions.task, captions.examples)
        by_frame = self.labelled == "frame"
        labels = {
            split: {label for _, told in clips for label in (told if by_frame else [told])}
            for split, clips in examples.items()
        }
        # Class labels are integers; the name of a folder is none, whatever the column of that name holds.
        texts = any(isinstance(label, str) for label in labels["train"])
        feature = None if texts else features.get(self._column)
        feature = getattr(feature, "feature", feature)
        names, numbers = numbered_classes(self.source, self._column, feature, labels)
        return Targets(
            {"target_size": len(names), "alignment": "step" if by_frame else "sequence", "labels": names},
            {
                split: [
                    (film, torch.tensor([numbers[label] for label in told] if by_frame else numbers[told]))
                    for film, told in clips
                ]
                for split, clips in examples.items()
            },
        )

    @property
    def _column(self) -> str:
        """The column that tells what is right."""
        return self.caption_column or self.label_column or "label"

    def _of_row(self, told: Any, row: int, pictures: PictureColumn) -> Any:
        """Return what is told of a clip that is a row."""
        place = f"row {row} (counted from 0) of column {self._column} of {self.source}"
        if self.caption_column is not None:
            return captions_in(told, place)
        frames = len(told) if isinstance(told, list) else None
        if self.labelled == "clip":
            if frames is not None:
                raise self._wrong(f"{place} holds a list; set labelled to frame for a label a frame.")
            return told
        if frames != pictures.counts[row]:
            held = "no list" if frames is None else f"{frames} labels"
            raise self._wrong(f"{place} holds {held}; its clip has {pictures.counts[row]} frames.")
        return told[self.frames]

    def _of_clip(self, told: list[Any], clip: str) -> Any:
        """Return what is told of a clip by its frames."""
        if self.caption_column is not None:
            return captions_in(told[0], f"clip {clip} of {self.source}")
        if self.labelled == "frame":
            return told[self.frames]
        if any(label != told[0] for label in told):
            other = next(label for label in told if label != told[0])
            raise self._wrong(
                f"clip {clip} of {self.source} has the labels {told[0]!r} and {other!r}; set labelled to"
                " frame for a label a frame."
            )
        return told[0]

    def _by_columns(self, rows: Any) -> dict[str, list[int]]:
        """Return the rows of each clip, where columns say to which it belongs."""
        clips: dict[str, list[int]] = defaultdict(list)
        names = zip(*(self.source.column(rows, name) for name in self.clip_columns or ()), strict=True)
        for row, name in enumerate(names):
            clips["/".join(map(str, name))].append(row)
        if self.order_column is not None:
            order = list(self.source.column(rows, self.order_column))
            for of_clip in clips.values():
                of_clip.sort(key=order.__getitem__)
        return clips

    def _by_folder(self, pictures: PictureColumn) -> dict[str, list[int]]:
        """Return the rows of each clip, where it is a folder of files."""
        files = [pictures[row][0] for row in range(len(pictures.counts))]
        names = [file.name for file in files if file.name is not None and file.content is None]
        if len(names) < len(files):
            raise self._wrong(
                f"column {pictures.name} of {self.source} holds single images that are no files in folders;"
                " name in clip_columns the columns that say to which clip a frame belongs."
            )
        clips: dict[str, list[int]] = defaultdict(list)
        for row, name in sorted(enumerate(names), key=lambda named: _in_order(named[1])):
            clips[str(Path(name).parent)].append(row)
        return clips


def _in_order(name: str) -> list[str | int]:
    """Return a key that sorts names as people do: by the numbers in them, not by their digits."""
    return [int(part) if place % 2 else part for place, part in enumerate(re.split(r"(\d+)", name))]
