"""What all models of running text share: their figures, and that they write."""

import math
from abc import abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor

from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Writing
from lit_seq.topologies.topology import Topology


class TextModel(Topology):
    """A model of the next character, byte or word of a text, which carries its state from chunk to chunk.

    Loss is cross-entropy in nats a token; perplexity is e^loss, and bits per character (or byte) loss/ln 2.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        options: the arguments of the class behind this one.

    Raises:
        UserError: the data has no vocabulary.
    """

    metrics: ClassVar[tuple[str, ...]] = (
        *("loss", "accuracy", "perplexity", "bits_per_character", "bits_per_byte"),
    )
    alignments = ("next",)
    kinds = ("tokens",)
    carries_state = True

    def __init__(self, task: Task | dict[str, Any], **options: Any) -> None:
        super().__init__(task, **options)
        if self.task.vocabulary is None:
            raise UserError(f"{type(self).__name__} needs data with a vocabulary, and this data has none.")
        self.vocabulary = Vocabulary.from_dict(self.task.vocabulary)

    @abstractmethod
    def read(self, tokens: Tensor, state: Any) -> tuple[Tensor, Any]:
        """Read on.

        Args:
            tokens: (tokens,) int64.
            state: what was read before them; None at the beginning.

        Returns:
            The log probability of each token to come next, but for a constant, (symbols,), and the state.
        """

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return perplexity, and bits where the unit of text is a character or byte."""
        further = {"perplexity": means["loss"].exp()}
        if self.vocabulary.unit in ("character", "byte"):
            further[f"bits_per_{self.vocabulary.unit}"] = means["loss"] / math.log(2)
        return further

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return a text that the model writes, its temperature .8."""
        symbols = self.vocabulary.symbols
        prime = "\n" if not symbols or "\n" in symbols else symbols[1]
        text = self.sample(prime, 300, 0.8, torch.Generator().manual_seed(0))
        return [Writing(prime, 0.8, text)]

    @torch.inference_mode()
    def sample(
        self, prime: str, length: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> str:
        """Write text.

        Each token is drawn from softmax(y/temperature), y being what `read` gives.

        Args:
            prime: text to go on from, at least one token of the vocabulary; not part of the result.
            length: how many tokens to write.
            temperature: at least 0; small is cautious, 1 is the model itself. 0 takes the likeliest token.
            generator: source of randomness, on the CPU.

        Raises:
            UserError: `prime` is empty, or `temperature` or `length` is negative.
        """
        if temperature < 0 or length < 0:
            raise UserError(f"temperature ({temperature}) and length ({length}) must not be negative.")
        tokens = self.vocabulary.encode(prime)
        if not len(tokens):
            raise UserError("The prime is empty; give at least one token of text to go on from.")
        was_training = self.training
        self.eval()
        written: list[Tensor] = []
        state = None
        for _ in range(length):
            scores, state = self.read(tokens.to(self.device), state)
            scores = scores.float().cpu()
            if temperature == 0:
                tokens = scores.argmax(-1, keepdim=True)
            else:
                tokens = torch.multinomial(torch.softmax(scores / temperature, -1), 1, generator=generator)
            written.append(tokens)
        self.train(was_training)
        return self.vocabulary.decode(torch.cat(written)) if written else ""
