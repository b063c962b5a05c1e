"""Films of handwritten digits on the move."""

from copy import copy
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.digits import Digits
from lit_seq.data.generated import GeneratedData
from lit_seq.data.loader import Loader
from lit_seq.data.module import Split
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary

Asked = Literal["direction", "digit", "directions", "caption"]

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
DIRECTIONS = ("left", "right", "up", "down")
STEPS = torch.tensor([[0, -1], [0, 1], [-1, 0], [1, 0]])
"""Change of row and column in each of `DIRECTIONS`."""


class MovingDigits(GeneratedData):
    """A handwritten digit that moves over a canvas: for films with a class, labels a frame, or captions.

    The digit has 8×8 pixels and moves left, right, up or down by one or two pixels a frame, the same for the
    whole film. What leaves the canvas on one side comes in on the other, so that where the digit is says
    nothing about where it goes: no single frame gives the direction away. Training, validation and test films
    show different images, those of `Digits`.

    | asked | targets |
    |---|---|
    | direction | where it moves, (batch,) int64: one of four |
    | digit | what it is, (batch,) int64: one of ten |
    | directions | where it has just moved, (batch, frames) int64, `IGNORED` at the first frame |
    | caption | both in words, (batch, 4) int64: "three moves left" and the end token |

    For "directions" it takes a new direction, drawn from all four, at one frame in four on average.

    Batch: inputs (batch, frames, 1, size, size) float32, brightness 0 … 1; targets as above.

    Source: after Srivastava, Mansimov & Salakhutdinov 2015, section 3.1 (Moving MNIST), where digits bounce.

    Args:
        asked: what the targets are.
        frames: of a film.
        size: height and width of the canvas in pixels.
        generated: the arguments of `GeneratedData`.
    """

    _images: Batch
    """Images and digits of the split to draw from: `loader` sets it."""

    def __init__(self, asked: Asked = "direction", frames: int = 8, size: int = 16, **generated: Any) -> None:
        super().__init__(**generated)
        if asked not in get_args(Asked):
            raise self._wrong(f"asked is {asked!r}; allowed are {', '.join(get_args(Asked))}.")
        self.asked = asked
        self.frames = self._at_least(2, frames=frames)
        self.size = self._at_least(8, size=size)
        words = " ".join(("moves", *DIGITS, *DIRECTIONS))
        self.vocabulary = Vocabulary.of([words], "word", end=True)

    @property
    def task(self) -> Task:
        """Frames in; what was asked out."""
        shown: dict[str, Any] = {"image_size": (self.size, self.size)}
        if self.asked == "caption":
            shown |= {"target_vocabulary": self.vocabulary.to_dict(), "target_length": 4}
            return Task("frames", 1, "classes", len(self.vocabulary), "own", **shown)
        labels = tuple(str(digit) for digit in range(10)) if self.asked == "digit" else DIRECTIONS
        alignment: Literal["step", "sequence"] = "step" if self.asked == "directions" else "sequence"
        return Task("frames", 1, "classes", len(labels), alignment, labels=labels, **shown)

    def loader(self, split: Split) -> Loader | None:
        """Return the films of `split`, which show its images, in batches; None where it has none."""
        part = copy(self)
        digits = Digits(batch_size=2000, seed=0).loader(split)
        assert digits is not None
        part._images = next(iter(digits))
        return super(MovingDigits, part).loader(split)

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` films of the images of a split."""

        def draw(choices: int, *shape: int) -> Tensor:
            return torch.randint(choices, (size, *shape), generator=generator)

        images, digits, *_ = self._images
        image = draw(len(images))
        direction = draw(4, 1).expand(-1, self.frames)
        if self.asked == "directions":
            last_turn = ((draw(4, self.frames) == 0) * torch.arange(self.frames)).cummax(1).values
            direction = draw(4, self.frames).gather(1, last_turn)
        steps = STEPS[direction] * (1 + draw(2, 1, 1))
        steps[:, 0] = draw(self.size, 2)
        films = _films(images[image], steps.cumsum(1) % self.size, self.size)
        if self.asked == "directions":
            return Batch(films, direction.index_fill(1, torch.tensor(0), IGNORED))
        if self.asked == "caption":
            shown = zip(digits[image].tolist(), direction[:, 0].tolist(), strict=True)
            captions = [f"{DIGITS[digit]} moves {DIRECTIONS[way]}" for digit, way in shown]
            return Batch(films, torch.stack([self.vocabulary.encode(caption) for caption in captions]))
        return Batch(films, digits[image] if self.asked == "digit" else direction[:, 0].contiguous())


def _films(images: Tensor, corners: Tensor, size: int) -> Tensor:
    """Put images where they are in each frame, on a canvas whose opposite sides meet.

    Args:
        images: (batch, 8, 8).
        corners: row and column of the upper left corner, (batch, frames, 2).
        size: height and width of the canvas.

    Returns:
        (batch, frames, 1, size, size).
    """
    canvas = torch.zeros(len(images), size, size)
    canvas[:, :8, :8] = images
    rows, columns = ((torch.arange(size) - corners[..., axis, None]) % size for axis in (0, 1))
    films = torch.arange(len(images))[:, None, None, None]
    return canvas[films, rows[..., :, None], columns[..., None, :]].unsqueeze(2)
