"""Aligned many-to-many whose target is the next token."""

from collections.abc import Callable
from typing import Any, Literal

from torch import Tensor

from lit_seq.cores import Core, CoreState, Stack
from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.many_to_many import ManyToMany
from lit_seq.topologies.text_model import TextModel


class LanguageModel(TextModel, ManyToMany):
    """Predicts the next character, byte or word of a text, and writes text.

    p(x_{t+1} | x_1 … x_t) = softmax(W·h_t + b) (Mikolov et al. 2010, eqs. 1–3). Training is truncated
    backpropagation through time (Williams and Peng 1990): each batch is the next chunk of k steps of a
    batch of long texts, the hidden state is carried over from the chunk before, and the gradient stops
    there. Validation carries the state in the same way.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        core: the recurrent part, a causal `Core` class with its options.
        embedding_size: features of a token's learned embedding; None feeds one-hot vectors.
        step_gradients: whether the gradients of a chunk's steps are averaged or summed; the loss is logged as
            a mean either way.
        omega: coefficient of Pascanu's regulariser against vanishing gradients (`lit_seq.topologies.omega`),
            for training in the plain loop; null leaves it out, 0 only logs it.
    """

    def __init__(
        self,
        task: Task | dict[str, Any],
        core: Callable[[int], Core] = Stack,
        embedding_size: int | None = 64,
        step_gradients: Literal["mean", "sum"] = "mean",
        omega: float | None = None,
    ) -> None:
        super().__init__(
            task, core=core, embedding_size=embedding_size, step_gradients=step_gradients, omega=omega
        )
        if not self.core.causal:
            raise UserError(
                "LanguageModel needs a core that reads from left to right; a bidirectional one would see "
                "the token that it is to predict."
            )

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return each text of the batch and, step by step, the token held most likely to come next."""
        outputs, _ = self.core(self.features(batch.inputs), None, batch.lengths)
        likeliest = self.head(outputs).argmax(-1).transpose(0, 1)
        return [
            {"text": self.vocabulary.decode(text), "next": [self.vocabulary.decode(token) for token in guess]}
            for text, guess in zip(batch.inputs.cpu(), likeliest.cpu().unsqueeze(-1), strict=True)
        ]

    def read(self, tokens: Tensor, state: CoreState | None) -> tuple[Tensor, CoreState]:
        """See `TextModel.read`; the state is the core's."""
        outputs, state = self.core(self.features(tokens.unsqueeze(0)), state)
        return self.head(outputs[-1, 0]), state
