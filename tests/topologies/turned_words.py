"""Small data whose targets are sequences of their own: a word comes in, and comes out turned round."""

from typing import Any

import torch
from torch.nn import functional

from lit_seq.data import IGNORED, Batch, Task, Vocabulary
from lit_seq.data.generated import GeneratedData

LETTERS = "abcd"
SOURCE = Vocabulary("character", ("\N{REPLACEMENT CHARACTER}", *LETTERS))
TARGET = Vocabulary("character", SOURCE.symbols, ends=True)


class TurnedWords(GeneratedData):
    """Words of `shortest` to `longest` letters as tokens, vectors or frames; or as one vector or image."""

    def __init__(self, kind: str = "tokens", shortest: int = 1, longest: int = 4, **generated: Any) -> None:
        super().__init__(**generated)
        self.kind, self.shortest, self.longest = kind, shortest, longest

    @property
    def task(self) -> Task:
        size = {"tokens": len(SOURCE), "vectors": 5, "frames": 1, "vector": 5 * self.longest, "image": 1}
        return Task(
            *(self.kind, size[self.kind], "classes", len(TARGET), "own"),
            vocabulary=SOURCE.to_dict() if self.kind == "tokens" else None,
            target_vocabulary=TARGET.to_dict(),
            target_length=self.longest + 1,
            image_size={"frames": (8, 8), "image": (8, 8 * self.longest)}.get(self.kind),
        )

    def generate(self, size: int, generator: torch.Generator) -> Batch:
        lengths = torch.randint(self.shortest, self.longest + 1, (size,), generator=generator)
        steps = torch.arange(self.longest)
        words = torch.randint(1, 5, (size, self.longest), generator=generator) * (steps < lengths[:, None])
        targets = torch.full((size, self.longest + 1), IGNORED)
        for word, target, length in zip(words, targets, lengths.tolist(), strict=True):
            target[:length] = word[:length].flip(0)
            target[length] = TARGET.end
        one_hot = functional.one_hot(words, 5).float() * (steps < lengths[:, None]).unsqueeze(-1)
        # A letter is a bright row of a picture, its number the row.
        frames = functional.one_hot(words, 8).float()[:, :, None, :, None].expand(-1, -1, 1, 8, 8)
        match self.kind:
            case "tokens":
                return Batch(words, targets, lengths)
            case "vectors":
                return Batch(one_hot, targets, lengths)
            case "frames":
                return Batch(frames.contiguous(), targets, lengths)
            case "vector":
                return Batch(one_hot.flatten(1), targets)
            case _:
                return Batch(torch.cat(frames.unbind(1), -1), targets)
