"""A core that sums a sequence up by attention."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from lit_seq.cores.attention import Attention, Score
from lit_seq.cores.core import Core, CoreState
from lit_seq.cores.stack import Stack


class AttentionState(NamedTuple):
    """State of an `AttentionSummary` after a sequence.

    Attributes:
        encoder: the encoder's state.
        context: what the attention saw, (batch, features of the encoder).
        weights: where it looked, (batch, heads, time).
    """

    encoder: CoreState
    context: Tensor
    weights: Tensor


class AttentionSummary(Core):
    """Attention over an encoder's outputs, so that a summary need not come through the last step.

    With h_t the encoder's outputs and s its own summary, the core's summary is [s; c(s)] and its output at
    step t is [h_t; c(s)], where c(s) is the attention's context for the query s (see `Attention`; a query
    that is the encoder's last state: Luong et al. 2015; attention to classify: Yang et al. 2016, eqs. 5–7).

    Args:
        input_size: features of an input.
        encoder: what reads the sequence, a `Core` class with its options.
        score: how the query is compared with an output.
        size: features of the additive score.
        heads: number of alignments.
    """

    causal = False

    def __init__(
        self,
        input_size: int,
        encoder: Callable[[int], Core] = Stack,
        score: Score = "additive",
        size: int = 64,
        heads: int = 1,
    ) -> None:
        super().__init__(input_size)
        self.encoder = encoder(input_size)
        width = self.encoder.output_size
        self.attention = Attention(width, width, score, size, heads)
        self.output_size = 2 * width

    def initial_state(self, batch: int) -> AttentionState:
        """Return the encoder's initial state, with nothing seen yet."""
        encoder = self.encoder.initial_state(batch)
        context = torch.zeros_like(self.encoder.summary(encoder))
        return AttentionState(encoder, context, context.new_zeros(batch, self.attention.heads, 0))

    def forward(
        self, inputs: Tensor, state: AttentionState | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, AttentionState]:
        """See `Core.forward`; of `state` the encoder's part counts, attention is over these inputs alone."""
        outputs, encoder = self.encoder(inputs, None if state is None else state.encoder, lengths)
        attended = self.attention.attend(outputs, lengths)
        context, weights = self.attention(self.encoder.summary(encoder), attended)
        seen = context.expand(*outputs.shape[:2], -1)
        if attended.padding is not None:
            seen = torch.where(attended.padding.permute(2, 0, 1), 0.0, seen)
        return torch.cat([outputs, seen], -1), AttentionState(encoder, context, weights)

    def summary(self, state: AttentionState) -> Tensor:
        """Return [s; c(s)], (batch, output)."""
        return torch.cat([self.encoder.summary(state.encoder), state.context], -1)

    def attention_weights(self, state: AttentionState) -> Tensor:
        """Return the weights of the steps, (batch, heads, time)."""
        return state.weights
