"""A hidden Markov model of text."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from lit_seq.data.batch import Batch
from lit_seq.data.task import Task
from lit_seq.samples import Sample
from lit_seq.topologies.emissions import Categorical
from lit_seq.topologies.markov_chain import MarkovChain, forward, viterbi
from lit_seq.topologies.measured import Measured
from lit_seq.topologies.text_model import TextModel


class CategoricalHMM(TextModel):
    """A hidden Markov model of running text: the baseline whose memory is one of a number of states.

        p(x_{t+1} | x_1 … x_t) = Σ_k p(z_{t+1} = k | x_1 … x_t) b_k(x_{t+1})

    (Rabiner 1989), trained by gradient descent on the exact likelihood, which the forward algorithm computes
    (`lit_seq.topologies.markov_chain`). What is carried from chunk to chunk is p(z_{t+1} | x_1 … x_t). As any
    hidden Markov model it may stay at a local maximum: start from several seeds.

    Args:
        task: what the data offers; linked from `--data` on the command line.
        states: number of states.
    """

    def __init__(self, task: Task | dict[str, Any], states: int = 32) -> None:
        super().__init__(task, states=states)
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

    def read(self, tokens: Tensor, state: Tensor | None) -> tuple[Tensor, Tensor]:
        """See `TextModel.read`; the state is p(z_1), (1, states)."""
        ahead = self._read(tokens.unsqueeze(0), state)[-1]
        return (ahead @ self.emissions.probabilities()).log().squeeze(0), ahead

    def samples(self, batches: Iterable[Batch]) -> list[Sample]:
        """Return a text, and the transitions between states, each called by its three likeliest tokens."""
        likeliest = self.emissions.logits.topk(min(3, self.task.input_size)).indices.tolist()
        names = [
            f"{state}: {' '.join(repr(self.vocabulary.decode([token]))[1:-1] for token in said)}"
            for state, said in enumerate(likeliest)
        ]
        return [*super().samples(batches), self.chain.matrix(names)]

    def _read(self, tokens: Tensor, state: Tensor | None = None) -> Tensor:
        """Return p(z_{t+1} | x_1 … x_t), (time, batch, states), of tokens (batch, time)."""
        belief = self.initial_state(len(tokens)) if state is None else state
        return forward(belief, self.chain.transition(), self.emissions.log_probabilities(tokens.mT))[0]
