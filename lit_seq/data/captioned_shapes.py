"""Pictures of coloured shapes, with captions."""

from typing import Any

import torch
from torch import Tensor

from lit_seq.data.batch import IGNORED, Batch
from lit_seq.data.generated import GeneratedData
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary

SIZES = ("small", "large")
COLOURS = {
    "red": (1.0, 0.1, 0.1),
    "green": (0.1, 0.8, 0.1),
    "blue": (0.2, 0.3, 1.0),
    "yellow": (1.0, 0.9, 0.1),
}
SHAPES = ("circle", "square", "triangle", "cross")
RELATIONS = ("left of", "above")
LONGEST = 11
"""Words of the longest caption, and the end token."""


class CaptionedShapes(GeneratedData):
    """One or two shapes on a dark ground, and what there is to see in words: for image captioning.

    A shape is small or large, has one of four colours and is a circle, square, triangle or cross: "a small
    red circle". Half of the pictures show two, of which the left or upper one is named first: "a large blue
    square left of a small green cross", "a small yellow triangle above a small blue circle". The caption is
    a function of the picture, so that all captions can be exactly right. There are 2,080: each that names one
    shape belongs to one picture in 64, each that names two to one in 4,096.

    Batch: inputs (batch, 3, size, size) float32, brightness 0 … 1; targets (batch, 11) int64: words, the end
    token, then `IGNORED`.

    Args:
        size: height and width of a picture in pixels.
        generated: the arguments of `GeneratedData`.
    """

    def __init__(self, size: int = 24, **generated: Any) -> None:
        super().__init__(**generated)
        self.size = self._at_least(24, size=size)
        words = " ".join(("a", *SIZES, *COLOURS, *SHAPES, *RELATIONS))
        self.vocabulary = Vocabulary.of([words], "word", end=True)

    @property
    def task(self) -> Task:
        """A picture in, its caption out."""
        return Task(
            *("image", 3, "classes", len(self.vocabulary), "own"),
            target_vocabulary=self.vocabulary.to_dict(),
            target_length=LONGEST,
            image_size=(self.size, self.size),
        )

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        """Draw `size` pictures with their captions."""

        def draw(*choices: int) -> Tensor:
            return torch.stack([torch.randint(n, (size,), generator=generator) for n in choices], 1)

        two, relation = draw(2, 2).unbind(1)
        large, colour, shape = draw(2, 2), draw(4, 4), draw(4, 4)
        radius = torch.tensor([self.size // 8, self.size * 5 // 24])[large]
        along, across = _centres(two == 1, radius, self.size, generator)
        beside = (relation == 0).unsqueeze(1)
        x, y = torch.where(beside, along, across), torch.where(beside, across, along)
        painted = _masks(shape, x, y, radius, self.size)
        painted[:, 1] &= (two == 1)[:, None, None]
        palette = torch.tensor(list(COLOURS.values()))[colour]
        pictures = (painted.unsqueeze(2) * palette[..., None, None]).sum(1)

        def words(row: int, which: int) -> str:
            size, tint, form = (int(of[row, which]) for of in (large, colour, shape))
            return f"a {SIZES[size]} {tuple(COLOURS)[tint]} {SHAPES[form]}"

        captions = [
            f"{words(row, 0)} {RELATIONS[related]} {words(row, 1)}" if both else words(row, 0)
            for row, (both, related) in enumerate(zip(two.tolist(), relation.tolist(), strict=True))
        ]
        targets = torch.full((size, LONGEST), IGNORED)
        for row, caption in enumerate(captions):
            tokens = self.vocabulary.encode(caption)
            targets[row, : len(tokens)] = tokens
        return Batch(pictures, targets)


def _centres(two: Tensor, radius: Tensor, size: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Draw where shapes lie along the axis on which two of them follow each other, and across it.

    Args:
        two: whether there are two, (batch,); the first then lies in the first half, the other in the second.
        radius: of each shape, (batch, 2).
        size: of the picture.
        generator: source of randomness.

    Returns:
        (batch, 2) each. Across the axis two shapes differ by less than along it.
    """
    first, last = radius, size - 1 - radius
    half = torch.tensor([0, size // 2])
    both = two.unsqueeze(1)
    low = torch.where(both, first + half, first)
    high = torch.where(both, half + size // 2 - 1 - radius, last)
    along = low + (torch.rand(radius.shape, generator=generator) * (high - low + 1)).long()
    common = torch.rand(len(radius), 1, generator=generator) * (last - first + 1) + first
    jitter = torch.rand(radius.shape, generator=generator) * 4 - 2
    return along, torch.minimum(torch.maximum((common + jitter).long(), first), last)


def _masks(shape: Tensor, x: Tensor, y: Tensor, radius: Tensor, size: int) -> Tensor:
    """Return the pixels that each shape covers, (batch, shapes, size, size) bool."""
    pixels = torch.arange(size)
    across = pixels - x[..., None, None]
    down = pixels[:, None] - y[..., None, None]
    r = radius[..., None, None]
    near, far = torch.minimum(across.abs(), down.abs()), torch.maximum(across.abs(), down.abs())
    forms = [
        across**2 + down**2 <= r**2 + 1,
        far <= r - 1,
        (2 * across.abs() <= down + r) & (down <= r - 1),
        (near <= r // 3) & (far <= r),
    ]
    return torch.stack(forms, 2)[torch.arange(len(shape))[:, None], torch.arange(shape.shape[1]), shape]
