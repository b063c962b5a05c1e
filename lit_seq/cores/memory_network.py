"""The end-to-end memory network."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from lit_seq.cores.core import Core
from lit_seq.errors import UserError
from lit_seq.scan import check_lengths


class MemoryNetworkState(NamedTuple):
    """State of a memory network after a sequence.

    Attributes:
        answer: what its last sentence, the question, is answered, (batch, hidden).
        weights: which sentences each hop looked at, (batch, hops, sentences), the question among them.
    """

    answer: Tensor
    weights: Tensor


class MemoryNetwork(Core):
    """End-to-end memory network, several looks at the sentences before a question, for questions on a text.

    A sentence is `words` steps. With x_ij the word j of sentence i, l its position encoding, d = hidden_size
    and J = `words`, sentence i is to hop k

        m_i^k = Σ_j l_j ⊙ A^k x_ij + T_A^k(q - i),  c_i^k = m_i^{k+1}      (adjacent tying: A^{k+1} = C^k)
        l_j = (1 - j/J) - (n/d)(1 - 2j/J) for feature n

    and the question q, the last sentence, is answered by u^{K+1}, where

        u^1 = Σ_j l_j ⊙ A^1 x_qj,  p_i^k = softmax_i(u^k · m_i^k),  u^{k+1} = u^k + Σ_i p_i^k c_i^k

    (Sukhbaatar, Szlam, Weston & Fergus 2015, eqs. 1, 2 and 4, section 4.1). T is counted back from the
    question, and is the same for all sentences that are `memories` or more before it.

    Every sentence is taken for a question to those before it, and its answer is the output at each of its
    steps; without any before it, it is its own answer. The recurrence goes along hops, not along time, so
    there is no cell.

    Args:
        input_size: features of a word: one-hot words make A an embedding, as in the paper.
        hidden_size: d, features of a sentence.
        words: J, steps of a sentence.
        hops: K, looks at the memory.
        memories: sentences whose age is told apart.
        position_encoding: weight words by l; else a sentence is a bag of words (l = 1).

    Raises:
        ValueError: a size is below 1.
        UserError: a sequence that is read is not made of whole sentences.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        hidden_size: int = 128,
        words: int = 5,
        hops: int = 3,
        memories: int = 50,
        position_encoding: bool = True,
    ) -> None:
        super().__init__(input_size)
        sizes = {"hidden_size": hidden_size, "words": words, "hops": hops, "memories": memories}
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f"MemoryNetwork: {name} is {size}; it must be at least 1.")
        self.output_size = hidden_size
        self.words, self.hops, self.memories = words, hops, memories
        # A^1 … A^K and C^K, and T of each.
        self.embeddings = nn.Linear(input_size, (hops + 1) * hidden_size, bias=False)
        self.ages = nn.Parameter(torch.empty(hops + 1, memories, hidden_size))
        nn.init.normal_(self.embeddings.weight, std=0.1)
        nn.init.normal_(self.ages, std=0.1)
        j = torch.arange(1, words + 1).unsqueeze(1) / words
        n = torch.arange(1, hidden_size + 1) / hidden_size
        encoding = (1 - j) - n * (1 - 2 * j) if position_encoding else torch.ones(words, hidden_size)
        self.register_buffer("encoding", encoding, persistent=False)

    encoding: Tensor

    def initial_state(self, batch: int) -> MemoryNetworkState:
        """Return the answer of no sentence."""
        return MemoryNetworkState(
            self.ages.new_zeros(batch, self.output_size), self.ages.new_zeros(batch, self.hops, 0)
        )

    def forward(
        self, inputs: Tensor, state: MemoryNetworkState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, MemoryNetworkState]:
        """See `Core.forward`; the memory is of these inputs alone, whatever `state` says of others."""
        time, batch, _ = inputs.shape
        self._check(lengths, time, batch)
        valid = None
        if lengths is not None:
            lengths = lengths.to(inputs.device)
            valid = (torch.arange(time, device=inputs.device).unsqueeze(1) < lengths).unsqueeze(-1)
            inputs = torch.where(valid, inputs, 0.0)
        sentences = time // self.words
        answers, weights = self._answers(self._memories(inputs))
        outputs = answers.transpose(0, 1).repeat_interleave(self.words, 0)
        if valid is None or lengths is None:
            return outputs, MemoryNetworkState(answers[:, -1], weights[:, :, -1])
        last = (lengths // self.words - 1).reshape(-1, 1, 1)
        answer = answers.gather(1, last.expand(-1, 1, self.output_size)).squeeze(1)
        seen = weights.gather(2, last.unsqueeze(-1).expand(-1, self.hops, 1, sentences)).squeeze(2)
        return torch.where(valid, outputs, 0.0), MemoryNetworkState(answer, seen)

    def summary(self, state: MemoryNetworkState) -> Tensor:
        """Return what the last sentence is answered, (batch, hidden)."""
        return state.answer

    def attention_weights(self, state: MemoryNetworkState) -> Tensor:
        """Return the weights of the sentences, (batch, hops, sentences)."""
        return state.weights

    def _memories(self, inputs: Tensor) -> Tensor:
        """Return Σ_j l_j ⊙ A^k x_ij, (hops + 1, batch, sentences, hidden)."""
        embedded = self.embeddings(inputs).unflatten(-1, (self.hops + 1, -1)).unflatten(0, (-1, self.words))
        return torch.einsum("sjbkd,jd->kbsd", embedded, self.encoding)

    def _answers(self, memories: Tensor) -> tuple[Tensor, Tensor]:
        """Return each u^{K+1}, (batch, sentences, hidden), and p, (batch, hops, asking, asked)."""
        place = torch.arange(memories.shape[2], device=memories.device)
        age = place.unsqueeze(1) - place - 1
        hidden = age < 0
        # The first sentence has none to look at; its softmax looks at itself, and is then left out.
        masked = hidden & (place + place.unsqueeze(1) > 0)
        age = age.clamp(0, self.memories - 1).expand(memories.shape[1], -1, -1)
        u, seen = memories[0], []
        for k in range(self.hops):
            scores = u @ memories[k].mT + (u @ self.ages[k].mT).gather(-1, age)
            weights = torch.softmax(scores.masked_fill(masked, -torch.inf), -1).masked_fill(hidden, 0.0)
            by_age = weights.new_zeros(*weights.shape[:2], self.memories).scatter_add(-1, age, weights)
            u = u + weights @ memories[k + 1] + by_age @ self.ages[k + 1]
            seen.append(weights)
        return u, torch.stack(seen, 1)

    def _check(self, lengths: Tensor | None, time: int, batch: int) -> None:
        check_lengths(self, lengths, time, batch)
        # Values can be read as in `check_lengths` only.
        if (
            lengths is not None
            and lengths.device.type == "cpu"
            and not torch._C._functorch.is_batchedtensor(lengths)
        ):
            time = next((int(n) for n in lengths if n % self.words), time)
        if time % self.words:
            raise UserError(
                f"MemoryNetwork: a sequence of {time} steps is not made of sentences of {self.words} words."
            )
