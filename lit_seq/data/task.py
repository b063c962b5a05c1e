"""What a DataModule offers, as plain data: enough to size a topology and to use it without its data."""

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Task:
    """Shape and meaning of a data set's inputs and targets.

    Attributes:
        inputs: "tokens" (integers below `input_size`) or "vectors" (`input_size` floats a step).
        input_size: number of different tokens, or features a step.
        targets: "classes" (integers below `target_size`), "values" (`target_size` floats) or "bits"
            (`target_size` integers 0 or 1, none of which excludes another).
        target_size: number of classes, values or bits.
        alignment: "sequence" (one target a sequence), "step" (one target a step) or "next"
            (one target a step: the token that follows; consecutive batches continue one text).
        vocabulary: `Vocabulary.to_dict()` of token inputs, where tokens stand for text.
        labels: names of the target classes or bits, where they have names.
    """

    inputs: Literal["tokens", "vectors"]
    input_size: int
    targets: Literal["classes", "values", "bits"]
    target_size: int
    alignment: Literal["sequence", "step", "next"]
    vocabulary: dict[str, Any] | None = None
    labels: tuple[str, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that `Task(**…)` takes, for a checkpoint."""
        return asdict(self)
