"""Let a model of running text write."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lit_seq.data.vocabulary import Vocabulary
from lit_seq.errors import UserError


def write(
    vocabulary: Vocabulary,
    read: Callable[[Tensor, Any], tuple[Tensor, Any]],
    prime: str,
    length: int,
    temperature: float = 1.0,
    generator: torch.Generator | None = None,
) -> str:
    """Draw one token after the other from softmax(y / temperature).

    Args:
        vocabulary: of the text.
        read: takes tokens, (tokens,) int64, and the state before them, None at first; gives y of the token
            that follows, (symbols,) on the CPU, log probabilities but for a constant, and the state there.
        prime: text to go on from, at least one token of the vocabulary; not part of the result.
        length: how many tokens to write.
        temperature: at least 0; small is cautious, 1 is the model itself. 0 takes the likeliest token.
        generator: source of randomness, on the CPU.

    Raises:
        UserError: `prime` is empty, or `temperature` or `length` is negative.
    """
    if temperature < 0 or length < 0:
        raise UserError(f"temperature ({temperature}) and length ({length}) must not be negative.")
    tokens = vocabulary.encode(prime)
    if not len(tokens):
        raise UserError("The prime is empty; give at least one token of text to go on from.")
    written: list[Tensor] = []
    state = None
    for _ in range(length):
        scores, state = read(tokens, state)
        if temperature == 0:
            tokens = scores.argmax(-1, keepdim=True)
        else:
            tokens = torch.multinomial(torch.softmax(scores / temperature, -1), 1, generator=generator)
        written.append(tokens)
    return vocabulary.decode(torch.cat(written)) if written else ""
