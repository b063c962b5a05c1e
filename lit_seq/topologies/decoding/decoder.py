"""What writes a sequence of tokens: all steps at once where it is taught, one by one where it is not."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from lit_seq.cells.batch_norm import BatchNorm
from lit_seq.cores import Attended, Attention, Core, CoreState, Stack
from lit_seq.cores.attention import Score
from lit_seq.cores.dropout import StepDropout
from lit_seq.data.task import Task
from lit_seq.errors import UserError
from lit_seq.topologies.features import Features

Context = Literal["state", "input", "both"]
"""How a decoder is told the summary of its input."""


class Encoded(NamedTuple):
    """What a decoder is told of an input.

    Attributes:
        summary: c, (batch, summary).
        memory: what it may attend to, (places, batch, memory); None where it does not attend.
        lengths: places that count, (batch,) int64; None when all do.
    """

    summary: Tensor
    memory: Tensor | None = None
    lengths: Tensor | None = None


class DecoderState(NamedTuple):
    """What a decoder goes on from; every tensor in it has the batch first.

    Attributes:
        core: state of the core.
        summary: what enters every step, (batch, summary); None where nothing does.
        attended: what is attended to; None where nothing is.
        left: tokens that are still to be written before the end token, (batch,) int64; None where the end
            token itself says when.
    """

    core: CoreState
    summary: Tensor | None
    attended: Attended | None
    left: Tensor | None


class Decoder(nn.Module):
    """A recurrent model of token sequences that depend on an input.

        s_0 = s + tanh(W_s c + b_s)                       context "state" (Bahdanau, Cho & Bengio 2015, A.2.2)
        h_t = f(h_{t-1}, [E y_{t-1}; c])                  context "input" (Cho et al. 2014, eq. 7)
        h̃_t = tanh(W_c [a_t; h_t])                        with attention (Luong, Pham & Manning 2015, eq. 5)
        p(y_t | y_1 … y_{t-1}, c) = softmax(W h̃_t + b)    (ibid., eq. 6; without attention h_t itself)

    with c the input's summary, s the core's own initial state, a_t the attention's context for the query h_t
    and y_0 the end token. Attention reads what the recurrence has written, as in Luong et al. without their
    input feeding, so that known tokens take one scan over all steps.

    The end token is a token like any other; or, with a `longest`, a second softmax over c says how many
    tokens are written before it.

    Args:
        core: the recurrent part, causal.
        tokens: how many different tokens there are.
        end: the end token.
        embedding_size: features of a token's learned embedding E; None for one-hot vectors.
        summary_size: features of c.
        context: whether c sets the initial state, enters every step, or both.
        memory_size: features of what is attended to; None where nothing is.
        score: how the attention compares; see `lit_seq.cores.Attention`.
        attention_size: features of its additive score.
        heads: number of its alignments.
        longest: most tokens before the end token, where their number is predicted; None where it is not.

    Raises:
        UserError: the core cannot decode, or its state cannot be set.
        ValueError: heads do not divide the features, or a dot product compares different sizes.
    """

    def __init__(
        self,
        core: Callable[[int], Core],
        tokens: int,
        end: int,
        embedding_size: int | None,
        summary_size: int,
        context: Context,
        memory_size: int | None = None,
        score: Score = "general",
        attention_size: int = 64,
        heads: int = 1,
        longest: int | None = None,
    ) -> None:
        super().__init__()
        self.end, self.context = end, context
        self.features = Features(Task("tokens", tokens, "classes", tokens, "own"), embedding_size)
        entering = self.features.output_size + (summary_size if context != "state" else 0)
        self.core = core(entering)
        for module in self.core.modules():
            if isinstance(module, StepDropout):
                module.steps = "targets"
        self._check_core()
        self.bridge: nn.Linear | None = None
        if context != "input":
            self._sizes = [field[0].numel() for cell in self._cells(1) for field in cell if _is_set(field)]
            self.bridge = nn.Linear(summary_size, sum(self._sizes))
        width = self.core.output_size
        self.attention: Attention | None = None
        if memory_size is not None:
            self.attention = Attention(width, memory_size, score, attention_size, heads)
            self.combine = nn.Linear(memory_size + width, width)
        self.head = nn.Linear(width, tokens)
        self.count = None if longest is None else nn.Linear(summary_size, longest + 1)
        self.register_buffer("is_end", torch.arange(tokens) == end, persistent=False)

    is_end: Tensor

    def start(self, encoded: Encoded) -> DecoderState:
        """Return the state before the first token."""
        core = self.core.initial_state(len(encoded.summary))
        if self.bridge is not None:
            parts = iter(torch.tanh(self.bridge(encoded.summary)).split(self._sizes, -1))
            core = tuple(
                tuple(
                    type(cell)(*(x + next(parts).reshape(x.shape) if _is_set(x) else x for x in cell))
                    for cell in layer
                )
                for layer in core
            )
        attended = None
        if self.attention is not None:
            assert encoded.memory is not None
            attended = self.attention.attend(encoded.memory, encoded.lengths)
        left = None if self.count is None else self.count(encoded.summary).argmax(-1)
        return DecoderState(core, None if self.context == "state" else encoded.summary, attended, left)

    def forward(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read known tokens.

        Args:
            tokens: y_0 … y_{T-1}, (batch, time) int64.
            state: where they start.

        Returns:
            Log odds of the tokens that follow each, (time, batch, tokens); the state behind the last; and
            where the attention looked, (time, batch, heads, places), or None.
        """
        inputs = self.features(tokens)
        if state.summary is not None:
            inputs = torch.cat([inputs, state.summary.expand(len(inputs), *state.summary.shape)], -1)
        outputs, core = self.core(inputs, state.core)
        weights = None
        if self.attention is not None and state.attended is not None:
            seen, weights = self.attention(outputs, state.attended)
            outputs = torch.tanh(self.combine(torch.cat([seen, outputs], -1)))
        scores = self.head(outputs)
        if self.count is not None:
            scores = scores.masked_fill(self.is_end, -torch.inf)
        return scores, state._replace(core=core), weights

    def step(self, tokens: Tensor, state: DecoderState) -> tuple[Tensor, DecoderState]:
        """Go on by one token.

        Args:
            tokens: y_{t-1}, (batch,) int64.
            state: where it stands.

        Returns:
            Log odds of y_t, (batch, tokens), and the state behind y_{t-1}.
        """
        scores, state, _ = self(tokens.unsqueeze(1), state)
        if state.left is None:
            return scores[0], state
        over = (state.left == 0).unsqueeze(1)
        ended = torch.where(self.is_end, 0.0, -torch.inf).to(scores.dtype)
        return torch.where(over, ended, scores[0]), state._replace(left=(state.left - 1).clamp(min=0))

    def _check_core(self) -> None:
        name = type(self.core).__name__
        if not self.core.causal:
            raise UserError(
                f"The decoder's core, {name}, does not read from left to right; it would have to read tokens"
                " before they are written."
            )
        if any(isinstance(module, BatchNorm) for module in self.core.modules()):
            raise UserError(
                "The decoder goes on step by step, which batch normalisation has no statistics for; give it"
                " another cell."
            )
        if self.context != "input" and not isinstance(self.core, Stack):
            raise UserError(
                f"The decoder's core is a {name}, whose initial state has a meaning of its own; context must"
                " be input."
            )

    def _cells(self, batch: int) -> list[tuple[Tensor, ...]]:
        """Return the initial state of each cell of each layer."""
        return [cell for layer in self.core.initial_state(batch) for cell in layer]


def _is_set(field: Tensor) -> bool:
    """Tell whether a field of a cell's state is features, and no counter."""
    return field.is_floating_point()
