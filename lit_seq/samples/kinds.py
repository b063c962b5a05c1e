"""The kinds of samples. Every field is plain data that JSON holds."""

from collections.abc import Sized
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, ClassVar, get_args


@dataclass(frozen=True)
class Alignment:
    """Where a model looked.

    Attributes:
        rows: what it wrote, a word a row of `weights`.
        columns: what it looked at, a word a column; empty where the columns are places of an image.
        weights: each row sums to 1.
        grid: rows and columns of the places of an image.
    """

    rows: list[str]
    columns: list[str]
    weights: list[list[float]]
    grid: tuple[int, int] | None = None


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
        image: what was asked about, a PNG file as a data URI; a film is a strip of frames.
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

    def __post_init__(self) -> None:
        _check_alike(self.tokens, self.target, self.output)


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

    def __post_init__(self) -> None:
        _check_alike(self.tokens, self.parents, self.target, self.output)
        if any(parent >= len(self.parents) for parent in self.parents):
            raise ValueError("TreeLabels: a parent is no node of the tree.")


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

    def __post_init__(self) -> None:
        for rows in (self.past, self.target, self.output, self.low or [], self.high or []):
            _check_alike(self.features, *rows)


@dataclass(frozen=True)
class Map:
    """Points in a plane with a group each, such as a latent space coloured by motif."""

    kind: ClassVar[str] = "map"
    title: str
    points: list[tuple[float, float]]
    groups: list[str]

    def __post_init__(self) -> None:
        _check_alike(self.points, self.groups)


@dataclass(frozen=True)
class Matrix:
    """A table of numbers, such as the transitions between states; one row for a profile such as usage."""

    kind: ClassVar[str] = "matrix"
    title: str
    rows: list[str]
    columns: list[str]
    values: list[list[float]]

    def __post_init__(self) -> None:
        _check_alike(self.rows, self.values)


@dataclass(frozen=True)
class Statement:
    """A sentence about the model, such as whether it has converged."""

    kind: ClassVar[str] = "statement"
    text: str


Sample = Writing | Answer | Tags | TreeLabels | Series | Map | Matrix | Statement


def _check_alike(*parts: Sized) -> None:
    if len({len(part) for part in parts}) > 1:
        raise ValueError(f"The parts of a sample have the lengths {[len(part) for part in parts]}.")


def to_line(sample: Sample) -> dict[str, Any]:
    """Return `sample` as a line of samples.jsonl holds it."""
    return {"kind": sample.kind, **asdict(sample)}


def from_line(line: dict[str, Any]) -> Sample:
    """Return the sample that a line of samples.jsonl holds, whatever else stands there.

    Raises:
        ValueError: the line holds none.
    """
    kinds: dict[Any, Any] = {kind.kind: kind for kind in get_args(Sample)}
    if line.get("kind") not in kinds:
        raise ValueError(f"{line.get('kind')!r} is no kind of sample; allowed are {', '.join(kinds)}.")
    return _reader(kinds[line["kind"]]).validate_python(line)


@cache
def _reader(kind: type) -> Any:
    # Loaded where samples are read alone: training only writes them.
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
