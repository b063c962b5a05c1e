"""Ways to find what a decoder says: the likeliest token at each step, tokens drawn at random, or beams."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._pytree import tree_map

from lit_seq.errors import UserError

Step = Callable[[Tensor, Any], tuple[Tensor, Any]]
"""(tokens before (batch,), state) ↦ (log odds of the next ones (batch, tokens), state). In a state each
tensor has the batch first."""


class Search(ABC):
    """A way to write sequences of tokens, many at once.

    Args:
        end: the end token, which also stands before the first.
        steps: most tokens of a sequence, the end token included.
    """

    def __init__(self, end: int, steps: int) -> None:
        self.end, self.steps = end, steps

    @abstractmethod
    def __call__(self, step: Step, state: Any, first: Tensor) -> Tensor:
        """Write.

        Args:
            step: what goes on by one token.
            state: where the sequences start.
            first: the end token for each of them, (batch,) int64.

        Returns:
            Tokens, (batch, steps) int64, the end token from the end on.
        """

    def _written(self, tokens: list[Tensor]) -> Tensor:
        """Join steps, (batch,) each, and fill them up."""
        return functional.pad(torch.stack(tokens, 1), (0, self.steps - len(tokens)), value=self.end)


class Greedy(Search):
    """Takes the likeliest token at each step.

    Args:
        end: the end token.
        steps: most tokens of a sequence.
    """

    def __call__(self, step: Step, state: Any, first: Tensor) -> Tensor:
        """See `Search`; this one works under `torch.func.vmap`."""
        return self._written(_in_turn(step, state, first, self, lambda scores: scores.argmax(-1)))


class Sampled(Search):
    """Draws each token from softmax(log odds / temperature), by torch's global generator.

    Args:
        end: the end token.
        steps: most tokens of a sequence.
        temperature: above 0; small is cautious, 1 is the model itself.

    Raises:
        UserError: `temperature` is not above 0.
    """

    def __init__(self, end: int, steps: int, temperature: float = 1.0) -> None:
        super().__init__(end, steps)
        if temperature <= 0:
            raise UserError(
                f"Sampled: temperature is {temperature}; it must be above 0 (Greedy is its limit)."
            )
        self.temperature = temperature

    def __call__(self, step: Step, state: Any, first: Tensor) -> Tensor:
        """See `Search`."""
        return self._written(_in_turn(step, state, first, self, self._draw))

    def _draw(self, scores: Tensor) -> Tensor:
        return torch.multinomial(torch.softmax(scores / self.temperature, -1), 1).squeeze(-1)


class Beam(Search):
    """Keeps the likeliest beginnings, and says the one that is the likeliest for its length.

        s(y) = ln p(y) / lp(y),  lp(y) = ((5 + |y|) / 6)^α

    with |y| the tokens of y, the end token included (Wu et al. 2016, eq. 14, without its coverage). All are
    ranked by s at each step; one that has ended keeps its place as long as no others are better.

    Args:
        end: the end token.
        steps: most tokens of a sequence.
        beams: beginnings to keep; 1 is `Greedy`.
        length_penalty: α; 0 leaves short answers at an advantage.

    Raises:
        UserError: there is no beam, or `length_penalty` is negative.
    """

    def __init__(self, end: int, steps: int, beams: int = 5, length_penalty: float = 0.6) -> None:
        super().__init__(end, steps)
        if beams < 1:
            raise UserError(f"Beam: beams is {beams}; it must be at least 1.")
        if length_penalty < 0:
            raise UserError(f"Beam: length_penalty is {length_penalty}; it must not be negative.")
        self.beams, self.length_penalty = beams, length_penalty

    def __call__(self, step: Step, state: Any, first: Tensor) -> Tensor:
        """See `Search`."""
        batch, beams = len(first), self.beams
        rows = torch.arange(batch, device=first.device).unsqueeze(1)
        state = _chosen(state, rows.repeat_interleave(beams))
        tokens = first.unsqueeze(1).expand(batch, beams)
        written = first.new_empty(batch, beams, 0)
        over = torch.zeros_like(tokens, dtype=torch.bool)
        lengths = torch.zeros_like(tokens)
        total: Tensor | None = None
        for _ in range(self.steps):
            scores, state = step(tokens.flatten(), state)
            logs = torch.log_softmax(scores, -1).unflatten(0, (batch, beams))
            kinds = logs.shape[-1]
            if total is None:
                # The beginnings are all the same: one is enough.
                total = torch.full_like(logs[..., 0], -torch.inf)
                total[:, 0] = 0.0
                stays = torch.where(torch.arange(kinds, device=first.device) == self.end, 0.0, -torch.inf)
            logs = torch.where(over.unsqueeze(-1), stays, logs)
            lengths = lengths + ~over
            totals = total.unsqueeze(-1) + logs
            penalties = ((5 + lengths.to(logs.dtype)) / 6) ** self.length_penalty
            best = (totals / penalties.unsqueeze(-1)).flatten(1).topk(beams).indices
            parents, tokens = best // kinds, best % kinds
            total = totals.flatten(1).gather(1, best)
            lengths, over = lengths.gather(1, parents), over.gather(1, parents) | (tokens == self.end)
            written = torch.cat([written[rows, parents], tokens.unsqueeze(-1)], -1)
            if bool(over.all()):
                break
            state = _chosen(state, (rows * beams + parents).flatten())
        return self._written(list(written[:, 0].unbind(1)))


def _in_turn(
    step: Step, state: Any, tokens: Tensor, search: Search, choose: Callable[[Tensor], Tensor]
) -> list[Tensor]:
    """Return one token after the other, (batch,) each, until all sequences have ended or may not go on."""
    written: list[Tensor] = []
    over = torch.zeros_like(tokens, dtype=torch.bool)
    for _ in range(search.steps):
        scores, state = step(tokens, state)
        tokens = torch.where(over, search.end, choose(scores))
        over = over | (tokens == search.end)
        written.append(tokens)
        # Under vmap it cannot be seen.
        if not torch._C._functorch.is_batchedtensor(over) and bool(over.all()):
            break
    return written


def _chosen(state: Any, rows: Tensor) -> Any:
    """Return the state of some sequences."""
    return tree_map(lambda leaf: None if leaf is None else leaf[rows], state)
