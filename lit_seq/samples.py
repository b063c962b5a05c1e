"""What a person looks at to see what a model has learned, as plain data: lines of samples.jsonl.

Topologies give samples (`lit_seq.topologies.Topology.samples`), training writes them at three moments, reports
and W&B show them. Every field is plain data that JSON holds; an image is a data URI of a PNG file
(`lit_seq.data.pictures.data_uri`).
"""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Alignment:
    """Where a model looked.

    Attributes:
        rows: what it wrote, a word a row of `weights`.
        columns: what it looked at, a word a column; empty where the columns are places of an image.
        weights: each row sums to 1.
    """

    rows: list[str]
    columns: list[str]
    weights: list[list[float]]


@dataclass(frozen=True)
class Writing:
    """Text that goes on from a prime."""

    kind: ClassVar[str] = "writing"
    prime: str
    temperature: float
    text: str


@dataclass(frozen=True)
class Answer:
    """One answer to one input: a class, a value, a translation, a caption.

    Attributes:
        input: the text or a summary of the series that was asked about; "" where there is an image only.
        image: what was asked about, a data URI; a film is a strip of frames.
        target: what is right.
        output: what the model says.
        alignment: where it looked.
    """

    kind: ClassVar[str] = "answer"
    input: str
    target: str
    output: str
    image: str | None = None
    alignment: Alignment | None = None


@dataclass(frozen=True)
class Tags:
    """A label for each word; None where none counts."""

    kind: ClassVar[str] = "tags"
    tokens: list[str]
    target: list[str | None]
    output: list[str]


@dataclass(frozen=True)
class TreeLabels:
    """A label for each node of a tree.

    Attributes:
        tokens: the nodes' words, "" for a node without one.
        parents: each node's parent, -1 at the root.
        target: what is right; None where none counts.
        output: what the model says.
    """

    kind: ClassVar[str] = "tree"
    tokens: list[str]
    parents: list[int]
    target: list[str | None]
    output: list[str]


@dataclass(frozen=True)
class Series:
    """A forecast or a reconstruction of a series, feature by feature, in the data's own units.

    Attributes:
        title: what this is.
        features: names of the features.
        past: (steps, features) of what was known; empty for a reconstruction.
        target: (steps, features) of what came.
        output: (steps, features) of what the model says.
        low: (steps, features), lower end of its band; None where there is none.
        high: upper end.
        band: part of the targets that should lie within, such as .9.
    """

    kind: ClassVar[str] = "series"
    title: str
    features: list[str]
    past: list[list[float]]
    target: list[list[float]]
    output: list[list[float]]
    low: list[list[float]] | None = None
    high: list[list[float]] | None = None
    band: float | None = None


@dataclass(frozen=True)
class Map:
    """Points in a plane with a group each, such as a latent space coloured by motif."""

    kind: ClassVar[str] = "map"
    title: str
    points: list[tuple[float, float]]
    groups: list[str]


@dataclass(frozen=True)
class Matrix:
    """A table of numbers, such as the transitions between states; one row for a profile such as usage."""

    kind: ClassVar[str] = "matrix"
    title: str
    rows: list[str]
    columns: list[str]
    values: list[list[float]]


@dataclass(frozen=True)
class Statement:
    """A sentence about the model, such as whether it has converged."""

    kind: ClassVar[str] = "statement"
    text: str


Sample = Writing | Answer | Tags | TreeLabels | Series | Map | Matrix | Statement
