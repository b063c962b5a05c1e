"""A hidden Markov model of text."""

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError
from lit_seq.samples import Sample, Writing
from lit_seq.topologies.emissions import Categorical
from lit_seq.topologies.markov_chain import MarkovChain, forward, viterbi
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.topology import Topology
from lit_seq.topologies.writing import write


class CategoricalHMM(Topology):
    """A hidden Markov model of running text: the baseline whose memory is one of a number of states.

        p(x_{t+1} | x_1 … x_t) = Σ_k p(z_{t+1} = k | x_1 … x_t) b_k(x_{t+1})

    (Rabiner 1989), trained by gradient descent on the exact likelihood, which the forward algorithm computes
    (`lit_seq.topologies.markov_chain`). Loss, perplexity and bits are those of `LanguageModel`, and
    p(z_{t+1} | x_1 … x_t) is carried from chunk to chunk as its state is. As any hidden Markov model it may
    stay at a local maximum: start from several seeds.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        states: number of states.
    """

    metrics: ClassVar[tuple[str, ...]] = (
        *("loss", "accuracy", "perplexity", "bits_per_character", "bits_per_byte"),
    )
    alignments: ClassVar[tuple[str, ...]] = ("next",)
    kinds = ("tokens",)
    carries_state = True

    def __init__(self, task: Task | dict[str, Any], states: int = 32) -> None:
        super().__init__(task, states=states)
        if self.task.vocabulary is None:
            raise UserError("CategoricalHMM needs data with a vocabulary, and this data has none.")
        self.vocabulary = Vocabulary.from_dict(self.task.vocabulary)
        self.chain = MarkovChain(states)
        self.emissions = Categorical(states, self.task.input_size)

    def initial_state(self, batch: int) -> Tensor:
        """Return p(z_1), (batch, states)."""
        return self.chain.initial(batch)

    def measure(self, batch: Batch, state: Tensor | None = None) -> Measured:
        """Return loss and metrics of one batch; `state` is p(z_1), (batch, states)."""
        ahead = self._read(batch.inputs, state)
        targets = batch.targets.mT
        probabilities = ahead @ self.emissions.probabilities()
        loss = functional.nll_loss(probabilities.log().flatten(0, 1), targets.flatten())
        accuracy = (probabilities.argmax(-1) == targets).to(loss.dtype).mean()
        return Measured({"loss": loss, "accuracy": accuracy}, torch.tensor(targets.numel()), ahead[-1])

    def derived(self, means: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return perplexity, and bits where the unit of text is a character or byte."""
        further = {"perplexity": means["loss"].exp()}
        if self.vocabulary.unit in ("character", "byte"):
            further[f"bits_per_{self.vocabulary.unit}"] = means["loss"] / math.log(2)
        return further

    def predictions(self, batch: Batch) -> list[dict[str, Any]]:
        """Return each text, its likeliest states, and at each step the token held likeliest to come next."""
        emissions = self.emissions.log_probabilities(batch.inputs.mT)
        states = viterbi(self.initial_state(len(batch.inputs)), self.chain.transition(), emissions)
        likeliest = (self._read(batch.inputs) @ self.emissions.probabilities()).argmax(-1)
        return [
            {
                "text": self.vocabulary.decode(text),
                "states": path,
                "next": [self.vocabulary.decode([token]) for token in tokens],
            }
            for text, path, tokens in zip(
                batch.inputs.tolist(), states.mT.tolist(), likeliest.mT.tolist(), strict=True
            )
        ]

    @torch.inference_mode()
    def sample(
        self, prime: str, length: int, temperature: float = 1.0, generator: torch.Generator | None = None
    ) -> str:
        """Write text; see `lit_seq.topologies.writing.write`."""

        def read(tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
            ahead = self._read(tokens.to(self.device).unsqueeze(0), state)[-1]
            return (ahead @ self.emissions.probabilities()).log().squeeze(0).cpu(), ahead

        return write(self.vocabulary, read, prime, length, temperature, generator)

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return a text, and the transitions between states, each called by its three likeliest tokens."""
        start = next(iter(batches)).inputs[0, :1]
        prime = self.vocabulary.decode(start)
        generator = torch.Generator().manual_seed(0)
        text = self.sample(prime, 300, generator=generator)
        likeliest = self.emissions.logits.topk(min(3, self.task.input_size)).indices.tolist()
        names = [
            " ".join(repr(self.vocabulary.decode([token]))[1:-1] for token in said) for said in likeliest
        ]
        return [Writing(prime, 1.0, text), self.chain.matrix(names)]

    def _read(self, tokens: Tensor, state: Tensor | None = None) -> Tensor:
        """Return p(z_{t+1} | x_1 … x_t), (time, batch, states), of tokens (batch, time)."""
        belief = self.initial_state(len(tokens)) if state is None else state
        return forward(belief, self.chain.transition(), self.emissions.log_probabilities(tokens.mT))[0]
