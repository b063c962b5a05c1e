"""Aligned many-to-many whose target is the next token."""

import math
from collections.abc import Callable, Iterable
from typing import Any, Literal

import torch
from torch import Tensor

from lit_seq.cores import Core, Stack
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Writing
from lit_seq.topologies.many_to_many import ManyToMany


class LanguageModel(ManyToMany):
    """Predicts the next character, byte or word of a text, and writes text.

    p(x_{t+1} | x_1 … x_t) = softmax(W·h_t + b) (Mikolov et al. 2010, eqs. 1–3). Training is truncated
    backpropagation through time (Williams and Peng 1990): each batch is the next chunk of k steps of a
    batch of long texts, the hidden state is carried over from the chunk before, and the gradient stops
    there. Validation carries the state in the same way.

    Loss is cross-entropy in nats a token; perplexity is e^loss, and bits per character (or byte) loss/ln 2.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a causal `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
        step_gradients: whether the gradients of a chunk's steps are averaged or summed; the loss is logged as
            a mean either way.
        omega: coefficient of Pascanu's regulariser against vanishing gradients (`lit_seq.topologies.omega`),
            for training in the plain loop; null leaves it out, 0 only logs it.
    """

    metrics = ("loss", "accuracy", "perplexity", "bits_per_character", "bits_per_byte")
    alignments = ("next",)
    carries_state = True

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        step_gradients: Literal["mean", "sum"] = "mean",
        omega: float | None = None,
    ) -> None:
        super().__init__(task, core, embedding_size, step_gradients=step_gradients, omega=omega)
        if not self.core.causal:
            raise UserError(
                "LanguageModel needs a core that reads from left to right; a bidirectional one would see "
                "the token that it is to predict."
            )
        if self.task.vocabulary is None:
            raise UserError("LanguageModel needs data with a vocabulary, and this data has none.")
        self.vocabulary = Vocabulary.from_dict(self.task.vocabulary)

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return perplexity, and bits where the unit of text is a character or byte."""
        further = {"perplexity": means["loss"].exp()}
        if self.vocabulary.unit in ("character", "byte"):
            further[f"bits_per_{self.vocabulary.unit}"] = means["loss"] / math.log(2)
        return further

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return each text of the batch and, step by step, the token held most likely to come next."""
        outputs, _ = self.core(self.features(batch.inputs), None, batch.lengths)
        likeliest = self.head(outputs).argmax(-1).transpose(0, 1)
        return [
            {"text": self.vocabulary.decode(text), "next": [self.vocabulary.decode(token) for token in guess]}
            for text, guess in zip(batch.inputs.cpu(), likeliest.cpu().unsqueeze(-1), strict=True)
        ]

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

        Each token is drawn from softmax(y/temperature), after `prime` was read from the zero state.

        Args:
            prime: text to go on from, at least one token of the vocabulary; not part of the result.
            length: how many tokens to write.
            temperature: above 0; small is cautious, 1 is the model itself. 0 takes the likeliest token.
            generator: source of randomness, on the CPU.

        Raises:
            UserError: `prime` is empty, or `temperature` or `length` is negative.
        """
        if temperature < 0 or length < 0:
            raise UserError(f"temperature ({temperature}) and length ({length}) must not be negative.")
        tokens = self.vocabulary.encode(prime).to(self.device)
        if not len(tokens):
            raise UserError("The prime is empty; give at least one token of text to go on from.")
        was_training = self.training
        self.eval()
        written = []
        state = None
        for _ in range(length):
            outputs, state = self.core(self.features(tokens.unsqueeze(0)), state)
            scores = self.head(outputs[-1, 0]).float().cpu()
            if temperature == 0:
                token = scores.argmax(-1, keepdim=True)
            else:
                token = torch.multinomial(torch.softmax(scores / temperature, -1), 1, generator=generator)
            written.append(token)
            tokens = token.to(self.device)
        self.train(was_training)
        return self.vocabulary.decode(torch.cat(written)) if written else ""
