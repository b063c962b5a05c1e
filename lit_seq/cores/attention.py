"""Attention of a query over the states of an encoder."""

from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

Score = Literal["additive", "dot", "scaled", "general"]


class Attended(NamedTuple):
    """What queries are compared with and see, computed once for all of them.

    Attributes:
        keys: (batch, heads, time, features of a key).
        values: (batch, heads, time, features of a value).
        padding: True where a step does not count, (batch, 1, time); None when all do.
    """

    keys: Tensor
    values: Tensor
    padding: Tensor | None


class Attention(nn.Module):
    """Soft alignment of a query q with the encoder states h_1 … h_T.

        α_t = softmax_t(score(q, h_t)),  c = Σ_t α_t h_t

        additive:  v · tanh(W q + U h_t)   (Bahdanau, Cho & Bengio 2015, section A.1.2, eqs. 5–6)
        dot:       q · h_t                 (Luong, Pham & Manning 2015, eq. 8)
        general:   q · U h_t               (Luong et al. 2015, eq. 8)
        scaled:    q · h_t / √d            (Vaswani et al. 2017, eq. 1)

    With several heads each has its share of the features of queries, keys and states, and weights of its
    own; their c are concatenated (Vaswani et al. 2017, section 3.2.2).

    Args:
        query_size: features of a query.
        memory_size: features of an encoder state.
        score: how a query is compared with a state.
        size: features of the tanh of the additive score.
        heads: number of alignments.

    Raises:
        ValueError: heads do not divide the features, or query and state of a dot product differ in size.
    """

    def __init__(
        self, query_size: int, memory_size: int, score: Score = "additive", size: int = 64, heads: int = 1
    ) -> None:
        super().__init__()
        self.score: Score = score
        self.heads = heads
        key_size = size if score == "additive" else query_size
        for name, features in (("states", memory_size), ("keys", key_size)):
            if heads < 1 or features < 1 or features % heads:
                raise ValueError(
                    f"Attention: {heads} heads cannot share the {features} features of the {name} equally."
                )
        if score in ("dot", "scaled") and query_size != memory_size:
            raise ValueError(
                f"Attention: a {score} score needs queries and states of one size, not {query_size} and"
                f" {memory_size}; additive and general take any."
            )
        learned = score in ("additive", "general")
        self.keys = nn.Linear(memory_size, key_size, bias=score == "additive") if learned else nn.Identity()
        self.queries = nn.Linear(query_size, size, bias=False) if score == "additive" else nn.Identity()
        self.direction = nn.Parameter(torch.empty(heads, size // heads)) if score == "additive" else None
        if self.direction is not None:
            nn.init.xavier_uniform_(self.direction)

    def attend(self, memory: Tensor, lengths: Tensor | None = None) -> Attended:
        """Prepare encoder states for queries.

        Args:
            memory: h_1 … h_T, (time, batch, memory).
            lengths: steps that count, (batch,) int64; None when all do.
        """
        padding = None
        if lengths is not None:
            steps = torch.arange(len(memory), device=memory.device)
            padding = steps.unsqueeze(0) >= lengths.to(memory.device).unsqueeze(1)
            memory = torch.where(padding.T.unsqueeze(-1), 0.0, memory)
            padding = padding.unsqueeze(1)
        memory = memory.transpose(0, 1)
        keys, values = (self._by_head(part).transpose(1, 2) for part in (self.keys(memory), memory))
        return Attended(keys, values, padding)

    def forward(self, query: Tensor, attended: Attended) -> tuple[Tensor, Tensor]:
        """Align queries.

        Args:
            query: (…, batch, query); the dimensions in front, such as a decoder's steps, may be any.
            attended: what `attend` gave.

        Returns:
            c, (…, batch, memory), and α, (…, batch, heads, time), zero at padding.
        """
        queries = self._by_head(self.queries(query))
        if self.direction is None:
            scores = torch.einsum("...bhd,bhtd->...bht", queries, attended.keys)
            if self.score == "scaled":
                scores = scores * queries.shape[-1] ** -0.5
        else:
            compared = torch.tanh(queries.unsqueeze(-2) + attended.keys)
            scores = torch.einsum("...bhtd,hd->...bht", compared, self.direction)
        if attended.padding is not None:
            scores = scores.masked_fill(attended.padding, -torch.inf)
        weights = torch.softmax(scores, -1)
        context = torch.einsum("...bht,bhtd->...bhd", weights, attended.values)
        return context.flatten(-2), weights

    def _by_head(self, features: Tensor) -> Tensor:
        return features.unflatten(-1, (self.heads, -1))
