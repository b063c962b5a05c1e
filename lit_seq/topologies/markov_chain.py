"""Hidden Markov chains: what is seen at each step says of the state behind it.

    p(z_1 = k) = π_k,    p(z_{t+1} = j | z_t = i) = A_ij,    p(x_t | z_t = k) = b_k(x_t)

(Rabiner 1989, Proceedings of the IEEE 77, section III).
"""

import torch
from torch import Tensor, nn

from lit_seq.errors import UserError
from lit_seq.samples import Matrix


class MarkovChain(nn.Module):
    """The hidden part: π and A, to be trained by gradient descent on what `forward` gives.

    Attributes:
        initial_logits: log π but for a constant, (states,), zero at first.
        transition_logits: log A but for a constant a row, (states, states), drawn from N(0, 1), and
            `persistence` higher on the diagonal.

    Args:
        states: number of states.
        persistence: logarithm of how much likelier it is at first to stay in a state than to go to another.

    Raises:
        UserError: there are none.
    """

    def __init__(self, states: int, persistence: float = 0.0) -> None:
        super().__init__()
        if states < 1:
            raise UserError(f"states is {states}; a hidden Markov model needs at least 1.")
        self.initial_logits = nn.Parameter(torch.zeros(states))
        self.transition_logits = nn.Parameter(torch.randn(states, states) + persistence * torch.eye(states))

    def initial(self, batch: int) -> Tensor:
        """Return π for each sequence, (batch, states)."""
        return self.initial_logits.softmax(-1).expand(batch, -1)

    def transition(self) -> Tensor:
        """Return A, (states, states)."""
        return self.transition_logits.softmax(-1)

    def matrix(self, names: list[str]) -> Matrix:
        """Return A for people to look at.

        Args:
            names: what the states are called.
        """
        values = [[round(probability, 4) for probability in row] for row in self.transition().tolist()]
        return Matrix("Transitions between states", names, names, values)


def forward(belief: Tensor, transition: Tensor, emissions: Tensor) -> tuple[Tensor, Tensor]:
    """Read from left to right: the forward algorithm, scaled at each step so that nothing underflows.

    The scales are those of Rabiner's eq. 91, and the largest b_k(x_t) of each step.

    Args:
        belief: p(z_1), (batch, states).
        transition: A, (states, states).
        emissions: log b_k(x_t), (time, batch, states).

    Returns:
        p(z_{t+1} | x_1 … x_t) of each step, (time, batch, states), and log p(x_t | x_1 … x_{t-1}) in nats,
        (time, batch).
    """
    largest = emissions.amax(-1)
    ahead, scales = [], []
    for likelihood in (emissions - largest.unsqueeze(-1)).exp().unbind():
        joint = belief * likelihood
        scales.append(joint.sum(-1))
        belief = (joint / scales[-1].unsqueeze(-1)) @ transition
        ahead.append(belief)
    return torch.stack(ahead), torch.stack(scales).log() + largest


def viterbi(belief: Tensor, transition: Tensor, emissions: Tensor) -> Tensor:
    """Return the likeliest states, (time, batch) int64 (Rabiner 1989, eqs. 32 to 35, in logarithms).

    Args:
        belief: p(z_1), (batch, states).
        transition: A, (states, states).
        emissions: log b_k(x_t), (time, batch, states).
    """
    best, moves, came = belief.log() + emissions[0], transition.log(), []
    for emission in emissions[1:].unbind():
        likelihood, before = (best.unsqueeze(-1) + moves).max(-2)
        best = likelihood + emission
        came.append(before)
    path = [best.argmax(-1)]
    for before in reversed(came):
        path.append(before.gather(-1, path[-1].unsqueeze(-1)).squeeze(-1))
    return torch.stack(path[::-1])
