"""What a DataModule offers, as plain data: enough to size a topology and to use it without its data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Inputs = Literal["tokens", "vectors", "frames", "vector", "image"]
"""Kinds of input: three that go along time, and two that do not."""

Alignment = Literal["sequence", "step", "next", "own", "future", "node"]
"""How targets lie to inputs."""


@dataclass(frozen=True)
class Task:
    """Shape and meaning of a data set's inputs and targets.

    Attributes:
        inputs: "tokens" (integers below `input_size`), "vectors" (`input_size` floats a step) or "frames" (an
            image a step); without time a single "vector" or "image".
        input_size: number of different tokens, features of a vector, or channels of an image.
        targets: "classes" (integers below `target_size`), "values" (`target_size` floats) or "bits"
            (`target_size` integers 0 or 1, none of which excludes another).
        target_size: number of classes, values or bits.
        alignment: "sequence" (one target an input), "step" (one a step), "next" (one a step: the token that
            follows; consecutive batches continue one text), "own" (a sequence of tokens of its own length,
            which ends by the end token), "future" (the values that follow a series) or "node" (one a node
            of a tree over the steps).
        vocabulary: `Vocabulary.to_dict()` of token inputs, where tokens stand for text.
        labels: names of the target classes or bits, where they have names.
        target_vocabulary: `Vocabulary.to_dict()`, with an end token, of targets that are sequences of their
            own.
        target_length: most steps of a target that is a sequence of its own, the end token included, or that
            is the future of a series.
        image_size: height and width of images and frames.
        features: names of the features of vectors or values, where they have names.
        arity: most children that a node of a tree has.
        scale: "mean" and "deviation" of each value, a list each, by which the data was standardised.
    """

    inputs: Inputs
    input_size: int
    targets: Literal["classes", "values", "bits"]
    target_size: int
    alignment: Alignment
    vocabulary: dict[str, Any] | None = None
    labels: tuple[str, ...] | None = None
    target_vocabulary: dict[str, Any] | None = None
    target_length: int | None = None
    image_size: tuple[int, int] | None = None
    features: tuple[str, ...] | None = None
    scale: dict[str, list[float]] | None = None
    arity: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `Task(**…)` takes, for a checkpoint."""
        return asdict(self)
